// Command kamrpc calls an RPC method of a Kamailio and prints the answer as
// JSON, however large it is. It reaches Kamailio in all the ways that the
// exporter does.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

func main() {
	app := kingpin.New("kamrpc", "Calls an RPC method of a Kamailio and prints the answer as JSON.")
	app.HelpFlag.Short('h')
	app.Version(version.Print("kamrpc"))
	app.UsageWriter(os.Stdout)
	uri := app.Flag("uri", "Socket of Kamailio: unix:/path, unixd:/path, tcp://host:port, udp://host:port, http://host:port/RPC, …").
		Short('u').Default("unix:/var/run/kamailio/kamailio_ctl").String()
	timeout := app.Flag("timeout", "The most that the answer may take.").Short('t').Default("5s").Duration()
	method := app.Arg("method", "Name of the method; system.listMethods lists them.").Required().String()
	args := app.Arg("arguments", "Arguments of the method. A number is sent as a number; s:5 is the text 5, d:5 the floating-point number 5.").Strings()
	if _, err := app.Parse(os.Args[1:]); err != nil {
		app.Fatalf("%s, try --help", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, *uri, *timeout, *method, *args)
	stop()
	if err != nil {
		app.Fatalf("%s", err)
	}
}

// unsafeMethod hands users' text to printf as a format; calling it can end the
// whole Kamailio.
const unsafeMethod = "xhttp_prom.metric_list_print"

func run(ctx context.Context, out io.Writer, uri string, timeout time.Duration, method string, args []string) error {
	if method == unsafeMethod {
		return errors.New(method + " is unsafe to call; read the metrics from the HTTP page of xhttp_prom instead")
	}
	client, err := dial.New(uri)
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // it is the end
	params, err := parseArgs(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	value, err := rpc.One(ctx, client, method, params...)
	if err != nil {
		return fmt.Errorf("%s: %w", client.Target(), err)
	}
	return write(out, value)
}

// parseArgs reads arguments as kamcmd does: a number is an integer, s: and d: in
// front of anything say what it is.
func parseArgs(args []string) ([]any, error) {
	var params []any
	for _, arg := range args {
		if text, ok := strings.CutPrefix(arg, "s:"); ok {
			params = append(params, text)
			continue
		}
		if text, ok := strings.CutPrefix(arg, "d:"); ok {
			f, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, fmt.Errorf("%q is no floating-point number", arg)
			}
			params = append(params, f)
			continue
		}
		if i, err := strconv.ParseInt(arg, 10, 64); err == nil {
			params = append(params, i)
			continue
		}
		params = append(params, arg)
	}
	return params, nil
}

func write(out io.Writer, value rpc.Value) error {
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(value.String()), "", "  "); err != nil {
		return fmt.Errorf("write the answer as JSON: %w", err)
	}
	indented.WriteByte('\n')
	_, err := indented.WriteTo(out)
	return err
}
