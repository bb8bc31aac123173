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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/rpcmethods"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

func main() {
	app, o := newApp()
	if err := cli.Parse(app, os.Args[1:]); err != nil {
		cli.Fatal("kamrpc", fmt.Errorf("%w; see --help", err))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, stop, os.Stdout, o)
	if wrong, ok := errors.AsType[*config.FileError](err); ok {
		cli.Fatal("kamrpc", wrong.Faults()...)
	}
	if err != nil {
		cli.Fatal("kamrpc", err)
	}
}

// options are the values of the command line.
type options struct {
	uri               string
	configFile        string
	expandEnvironment bool
	timeout           time.Duration
	list, raw, yes    bool
	method            string
	args              []string
}

func newApp() (*kingpin.Application, *options) {
	o := &options{}
	app := cli.New("kamrpc", "Calls an RPC method of a Kamailio and prints the reply as JSON. Flags come before the method.")
	// All arguments after the method are for Kamailio, also negative numbers.
	app.Interspersed(false)
	app.Flag("uri", "Socket of Kamailio: unix:/path, unixd:/path, tcp://host:port or udp://host:port for the Kamailio module ctl; "+
		"http://host:port/RPC, https://host:port/RPC, jsonrpc+unixgram:/path, jsonrpc+udp://host:port or jsonrpc+tcp://host:port for jsonrpcs; "+
		"or the name of a target of --config.file.").
		Short('u').Default("unix:/var/run/kamailio/kamailio_ctl").StringVar(&o.uri)
	app.Flag("config.file", "Configuration file of kamailio_exporter, whose targets --uri can name. The credentials of the target are used.").
		PlaceHolder("FILE").StringVar(&o.configFile)
	app.Flag("config.expand-environment", "Allow $NAME for secrets in --config.file.").BoolVar(&o.expandEnvironment)
	app.Flag("timeout", "Longest time to wait for the reply.").
		Short('t').Default("5s").SetValue((*cli.Duration)(&o.timeout))
	app.Flag("list", "List the methods of Kamailio and what each does, instead of calling one.").BoolVar(&o.list)
	app.Flag("raw", "Print a text without quotes, and a list of texts and numbers with one on each line. Other replies are JSON.").BoolVar(&o.raw)
	app.Flag("yes", "Call the method even if it changes something or is unsafe.").BoolVar(&o.yes)
	app.Arg("method", "Name of the method. --list lists all methods.").StringVar(&o.method)
	app.Arg("arguments", "Arguments of the method. A whole number is sent as a number, d:1.5 as the floating-point number 1.5, "+
		"s:5 as the text 5, and everything else as text. For text that begins with -, write s: in front of it, or -- before the arguments.").
		StringsVar(&o.args)
	return app, o
}

// crashes is a method that uses its metrics, which can have text of users, as the format of printf.
// Calling it can crash Kamailio.
const crashes = "xhttp_prom.metric_list_print"

// limits are the limits of replies. They are much higher than those of the exporter, because kamrpc gets one reply and ends.
var limits = rpc.Limits{Size: 512 << 20, Values: 32_000_000, TotalSize: 512 << 20, TotalValues: 32_000_000}

// run makes the call at most once, and writes the reply to out. It calls stop before it writes, so that a signal ends the program
// while it waits for a reader of a pipe.
func run(ctx context.Context, stop func(), out *os.File, o *options) error {
	defer stop()
	args, err := parseArgs(o.args)
	if err != nil {
		return err
	}
	if err := o.check(args); err != nil {
		return err
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // the program ends
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if o.list {
		table, err := list(ctx, client)
		if err != nil {
			return err
		}
		stop()
		_, err = io.WriteString(out, table)
		return err
	}
	value, err := rpc.One(ctx, client, o.method, args...)
	if err != nil {
		return fmt.Errorf("call %s of %s: %w%s", o.method, client.Target().Redacted(), err, hintOn(err, client.Target()))
	}
	stop()
	if o.raw {
		return writeRaw(out, value, cli.IsTerminal(out))
	}
	return write(out, value)
}

// check returns an error if the method must not be called.
func (o *options) check(args []any) error {
	known, _ := rpcmethods.Lookup(o.method)
	effect := known.With(args...)
	switch {
	case o.list && o.method != "":
		return errors.New("--list needs no method")
	case o.list:
		return nil
	case o.method == "":
		return errors.New("the method is missing; see --help")
	case o.method == crashes:
		return errors.New(crashes + " can crash Kamailio and is not called: get the HTTP page of xhttp_prom instead")
	case o.yes:
		return nil
	case effect == rpcmethods.Changes:
		return fmt.Errorf("%s was not called, because it changes the state of Kamailio: %s; write --yes before the method to call it", o.method, known.Note)
	case effect == rpcmethods.Unsafe:
		return fmt.Errorf("%s was not called, because it is unsafe: %s; write --yes before the method to call it", o.method, known.Note)
	}
	return nil
}

// client returns a client for the URI or the target.
func (o *options) client() (*dial.Client, error) {
	if o.configFile != "" {
		args := []string{"--config.file", o.configFile}
		if o.expandEnvironment {
			args = append(args, "--config.expand-environment")
		}
		cfg, err := config.Parse(args)
		if err != nil {
			return nil, err
		}
		for _, target := range cfg.Targets {
			if target.Name == o.uri {
				return dial.NewTarget(target.URI, dial.Options{HTTP: target.HTTP, Limits: limits}), nil
			}
		}
	}
	target, err := dial.ParseTarget(o.uri)
	if err != nil {
		return nil, fmt.Errorf("--uri: %w; the name of a target needs --config.file", err)
	}
	return dial.NewTarget(target, dial.Options{Limits: limits}), nil
}

// list returns a table of the methods of Kamailio, one on a line, with what each does.
func list(ctx context.Context, client *dial.Client) (string, error) {
	methods, _, err := client.Methods(ctx)
	if err != nil {
		return "", fmt.Errorf("list the methods of %s: %w%s", client.Target().Redacted(), err, hintOn(err, client.Target()))
	}
	slices.Sort(methods)
	width := 0
	for _, method := range methods {
		width = max(width, min(len(method), maxColumn))
	}
	var table strings.Builder
	for _, method := range methods {
		effect := "unknown"
		if known, ok := rpcmethods.Lookup(method); ok {
			effect = effectOf(known)
		}
		fmt.Fprintf(&table, "%-*s  %s\n", width, cli.Printable(method), effect)
	}
	return table.String(), nil
}

// effectOf describes what a method does.
func effectOf(m rpcmethods.Method) string {
	switch m.ReadingArgs {
	case "":
		return string(m.Effect)
	case "none":
		return string(m.Effect) + ", reads without arguments"
	default:
		return string(m.Effect) + ", reads with " + m.ReadingArgs
	}
}

// maxColumn is the maximum width of the column of methods. Without it, one very long name would make all lines as long.
const maxColumn = 60

// writeRaw writes a reply for scripts: a text or a number as it is, and a list of them with one on each line. Other replies are
// JSON. A terminal gets no characters that it could act on.
func writeRaw(out io.Writer, value rpc.Value, terminal bool) error {
	values := []rpc.Value{value}
	if value.Kind() == rpc.KindArray {
		values = slices.Collect(value.All())
	}
	var text strings.Builder
	for _, element := range values {
		switch element.Kind() {
		case rpc.KindString, rpc.KindBytes, rpc.KindInt, rpc.KindDouble:
		default:
			return write(out, value)
		}
		line := element.Text()
		if element.Kind() == rpc.KindInt || element.Kind() == rpc.KindDouble {
			line = element.String()
		}
		if terminal {
			line = cli.Printable(line)
		}
		text.WriteString(line + "\n")
	}
	_, err := io.WriteString(out, text.String())
	return err
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
