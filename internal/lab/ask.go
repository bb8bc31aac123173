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
// length 15, cookie 1; then one string record, whose length counts the terminating zero. It is written by hand so that the
// tests of the BINRPC package itself can use the lab.
const versionRequest = "\xa1\x00\x0f\x01" + "\x91\x0d" + "core.version\x00"

// Answers calls core.version over the ctl socket at path and returns nil if there is a reply. If the socket exists and this
// user may not connect to it, the error is [io/fs.ErrPermission].
func Answers(ctx context.Context, path string) error {
	reply, err := exchange(ctx, "unix", path, versionRequest)
	if err != nil {
		return fmt.Errorf("call core.version over ctl: %w", err)
	}
	if magic, flags := reply[0], reply[1]>>4; magic != 0xa1 || flags != 1 {
		return fmt.Errorf("the server at %s does not reply as ctl does (% x)", path, reply[:2])
	}
	return nil
}

// answersSIP sends a SIP keep-alive over TCP (RFC 5626: two line ends, answered with one). No statistic counts it.
func answersSIP(ctx context.Context, address string) error {
	if _, err := exchange(ctx, "tcp", address, "\r\n\r\n"); err != nil {
		return fmt.Errorf("send a SIP keep-alive: %w", err)
	}
	return nil
}

// exchange connects, sends a request and returns the reply, of two bytes at least.
func exchange(ctx context.Context, network, address, request string) ([]byte, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	reply := make([]byte, 1024) // read whole: ctl logs an error if there is more when the connection is closed
	_, err = io.ReadAtLeast(conn, reply, 2)
	return reply, errors.Join(err, ctx.Err())
}
