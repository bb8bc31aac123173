package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/check"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
)

// checkCommand is the first argument of the command that says what works and what to change.
const checkCommand = "check"

// checkArgs returns the arguments after checkCommand, and whether the command line is one of that command. In a command line to
// complete, the flag for completion stays the first argument.
func checkArgs(args []string) ([]string, bool) {
	if len(args) > 0 && args[0] == checkCommand {
		return args[1:], true
	}
	if len(args) > 2 && args[0] == cli.CompletionFlag && args[1] == checkCommand {
		return slices.Concat(args[:1], args[2:]), true
	}
	return nil, false
}

// runCheck runs the command line "check …" and writes the report to out. It reports whether kamailio_up would be 1 for all targets.
func runCheck(args []string, out, warnings io.Writer) (up bool, err error) {
	cfg, targets, err := config.ParseCheck(args)
	if _, ok := errors.AsType[*config.FileError](err); ok {
		return false, err
	}
	if err != nil {
		return false, fmt.Errorf("%w; see kamailio_exporter %s --help", err, checkCommand)
	}
	writeWarnings(cfg, warnings)
	return check.Run(context.Background(), out, cfg, targets, check.UsersOfHost())
}
