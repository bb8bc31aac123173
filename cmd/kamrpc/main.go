// Command kamrpc calls an RPC method of a Kamailio and prints the reply as JSON.
// It reaches Kamailio over every transport that the exporter can use.
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
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

func main() {
	app, o := newApp()
	if err := cli.Parse(app, os.Args[1:]); err != nil {
		cli.Fatal("kamrpc", fmt.Errorf("%w; see --help", err))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, o)
	stop()
	if err != nil {
		cli.Fatal("kamrpc", err)
	}
}

// options are the values of the command line.
type options struct {
	uri     string
	timeout time.Duration
	method  string
	args    []string
}

func newApp() (*kingpin.Application, *options) {
	o := &options{}
	app := cli.New("kamrpc", "Calls an RPC method of a Kamailio and prints the reply as JSON. Flags come before the method.")
	// All arguments after the method are for Kamailio, also negative numbers.
	app.Interspersed(false)
	app.Flag("uri", "Socket of Kamailio: unix:/path, unixd:/path, tcp://host:port or udp://host:port for the Kamailio module ctl; "+
		"http://host:port/RPC, https://host:port/RPC, jsonrpc+unixgram:/path, jsonrpc+udp://host:port or jsonrpc+tcp://host:port for jsonrpcs.").
		Short('u').Default("unix:/var/run/kamailio/kamailio_ctl").StringVar(&o.uri)
	app.Flag("timeout", "Longest time to wait for the reply.").
		Short('t').Default("5s").SetValue((*cli.Duration)(&o.timeout))
	app.Arg("method", "Name of the method. system.listMethods lists all methods.").Required().StringVar(&o.method)
	app.Arg("arguments", "Arguments of the method. A whole number is sent as a number, d:1.5 as the floating-point number 1.5, "+
		"s:5 as the text 5, and everything else as text. For text that begins with -, write s: in front of it, or -- before the arguments.").
		StringsVar(&o.args)
	return app, o
}

// unsafeMethod uses its metrics, which can have text of users, as the format of printf.
// Calling it can crash Kamailio.
const unsafeMethod = "xhttp_prom.metric_list_print"

// run makes the call at most once, and writes the reply to out.
func run(ctx context.Context, out io.Writer, o *options) error {
	if o.method == unsafeMethod {
		return errors.New(unsafeMethod + " can crash Kamailio and is not called: get the HTTP page of xhttp_prom instead")
	}
	args, err := parseArgs(o.args)
	if err != nil {
		return err
	}
	client, err := dial.New(o.uri)
	if err != nil {
		return fmt.Errorf("--uri: %w", err)
	}
	defer client.Close() //nolint:errcheck // the program ends
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	value, err := rpc.One(ctx, client, o.method, args...)
	if err != nil {
		return fmt.Errorf("call %s of %s: %w%s", o.method, client.Target().Redacted(), err, hintOn(err, client.Target()))
	}
	return write(out, value)
}

// hintOn returns a clause that says what the user can do about an error, "" if there is nothing to say or it is about
// settings that kamrpc does not have.
func hintOn(err error, target dial.Target) string {
	text := hint.For(err, target)
	if text == "" || strings.Contains(string(text), "{auth}") || strings.Contains(string(text), "{methods}") {
		return ""
	}
	return "; " + text.Text(func(key string) string { return "--" + key })
}

// write writes a reply to out as indented JSON.
func write(out io.Writer, value rpc.Value) error {
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(value.String()), "", "  "); err != nil {
		return fmt.Errorf("write the reply as JSON: %w", err)
	}
	_, err := out.Write(append(cli.PrintableJSON(indented.Bytes()), '\n'))
	return err
}
