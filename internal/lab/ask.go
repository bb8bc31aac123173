//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// versionRequest is a whole BINRPC packet that calls core.version: magic and version, flags and length sizes, payload
// length 15, cookie 1; then one string record, whose length counts the terminating zero. The lab writes it by hand so
// that the tests of the BINRPC package itself can use the lab.
const versionRequest = "\xa1\x00\x0f\x01" + "\x91\x0d" + "core.version\x00"

// Answers asks the ctl socket at path for its server's version and returns nil if it answers. Where the socket exists and
// refuses this user, the error is [io/fs.ErrPermission].
func Answers(ctx context.Context, path string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("connect to ctl: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := io.WriteString(conn, versionRequest); err != nil {
		return fmt.Errorf("ask ctl for its version: %w", err)
	}
	reply := make([]byte, 1024) // read whole: ctl logs an error if there is more when the connection is closed
	if _, err := io.ReadAtLeast(conn, reply, 2); err != nil {
		return errors.Join(fmt.Errorf("wait for ctl's answer: %w", err), ctx.Err())
	}
	if magic, flags := reply[0], reply[1]>>4; magic != 0xa1 || flags != 1 {
		return fmt.Errorf("%s answers, but not as ctl does (% x)", path, reply[:2])
	}
	return nil
}

// answersSIP sends a SIP keep-alive (RFC 5626: two line ends, answered with one) over TCP. It counts in no statistic.
func answersSIP(ctx context.Context, address string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("connect for SIP: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := io.WriteString(conn, "\r\n\r\n"); err != nil {
		return fmt.Errorf("send a SIP keep-alive: %w", err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 2)); err != nil {
		return errors.Join(fmt.Errorf("wait for the answer to a SIP keep-alive: %w", err), ctx.Err())
	}
	return nil
}
