package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/web"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/jsonrpc"
)

// customMetricsCommand is the first argument of the command that tests custom_metrics.
const customMetricsCommand = "custom-metrics"

// customMetricsArgs returns the arguments after customMetricsCommand, and whether the command line is one of that command. In a
// command line to complete, the flag for completion is moved to the other flags of the command.
func customMetricsArgs(args []string) ([]string, bool) {
	if len(args) > 0 && args[0] == customMetricsCommand {
		return args[1:], true
	}
	if len(args) > 2 && slices.Equal(args[:3], []string{cli.CompletionFlag, customMetricsCommand, "test"}) {
		return slices.Concat([]string{"test", cli.CompletionFlag}, args[3:]), true
	}
	return nil, false
}

// testCustomMetrics runs the command line "custom-metrics test …". It writes the metrics that an entry of the configuration file
// makes of a saved reply to out, and what it drops to problems.
func testCustomMetrics(args []string, out, problems io.Writer) error {
	const program = "kamailio_exporter custom-metrics test"
	if len(args) == 0 || args[0] != "test" {
		return fmt.Errorf("the only command of %s is test; see %s --help", customMetricsCommand, program)
	}
	app := cli.New(program, "Shows what an entry of custom_metrics makes of a saved reply, without a Kamailio.")
	file := app.Flag("config.file", "YAML file with the entry.").PlaceHolder("FILE").Required().String()
	reply := app.Flag("reply", "File with the reply in JSON, as kamrpc prints it. - means standard input.").PlaceHolder("FILE").Required().String()
	timeout := app.Flag("timeout", "Longest time of the expressions.").Default("5s").Duration()
	name := app.Arg("name", "Name of the entry.").Required().String()
	if err := cli.Parse(app, args[1:]); err != nil {
		return fmt.Errorf("%w; see %s --help", err, program)
	}
	cfg, err := config.Parse([]string{"--config.file", *file, "--config.expand-environment"})
	if err != nil {
		return err
	}
	entry := cfg.CustomMetrics[*name]
	if entry == nil {
		return fmt.Errorf("%s has no entry %q in custom_metrics", *file, *name)
	}
	value, err := readReply(*reply)
	if err != nil {
		return err
	}
	return showCustomMetrics(collector.NewCustom(entry), value, *timeout, out, problems)
}

// readReply reads a reply in JSON.
func readReply(name string) (rpc.Value, error) {
	var text []byte
	var err error
	if name == "-" {
		text, err = io.ReadAll(os.Stdin)
	} else {
		text, err = os.ReadFile(name) //nolint:gosec // the user names the file
	}
	if err != nil {
		return rpc.Value{}, err
	}
	message, err := jsonrpc.Parse(slices.Concat([]byte(`{"jsonrpc":"2.0","id":1,"result":`), text, []byte("}")), rpc.Limits{})
	if err != nil {
		return rpc.Value{}, fmt.Errorf("%s: the reply is not valid: %w", name, err)
	}
	return message.Value, nil
}

// showCustomMetrics writes the metrics of a reply.
func showCustomMetrics(c *collector.Collector, value rpc.Value, timeout time.Duration, out, problems io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	prepared := c.Prepare(ctx, collector.Reply{Reply: rpc.Reply{Value: value, Received: time.Now()}})
	set := metric.NewSet()
	failed := prepared.Add(set, collector.Settings{}, c)
	for _, skip := range set.Skips() {
		_, _ = fmt.Fprintf(problems, "Values dropped or shortened as %s: %d, for example %s\n", skip.Reason, skip.Count, cli.Printable(skip.Example))
	}
	if len(set.Families()) == 0 && failed == nil {
		_, _ = fmt.Fprintln(problems, "The reply has no samples.")
	}
	return errors.Join(failed, web.WriteText(out, set))
}
