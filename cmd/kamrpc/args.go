package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
)

// parseArgs returns the arguments of a method for an rpc.Call. As in kamcmd, a whole
// number is an integer, and the prefixes s: and d: of an argument set its type.
func parseArgs(args []string) ([]any, error) {
	args, err := withoutFlags(args)
	if err != nil {
		return nil, err
	}
	var params []any
	for _, arg := range args {
		param, err := parseArg(arg)
		if err != nil {
			return nil, err
		}
		params = append(params, param)
	}
	return params, nil
}

// withoutFlags removes the first --. It returns an error if an argument before it looks
// like a flag. If a flag were sent to Kamailio as an argument instead, the call could go
// to the wrong Kamailio.
func withoutFlags(args []string) ([]string, error) {
	for i, arg := range args {
		if arg == "--" {
			return slices.Concat(args[:i], args[i+1:]), nil
		}
		if len(arg) > 1 && arg[0] == '-' && !cli.IsNegative(arg) {
			return nil, fmt.Errorf("%q: flags come before the method; to send it as text, write s:%s", arg, arg)
		}
	}
	return args, nil
}

// parseArg returns one argument; see parseArgs.
func parseArg(arg string) (any, error) {
	if text, ok := strings.CutPrefix(arg, "s:"); ok {
		return text, nil
	}
	if text, ok := strings.CutPrefix(arg, "d:"); ok {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a floating-point number, for example d:1.5", arg)
		}
		return f, nil
	}
	if i, err := strconv.ParseInt(arg, 10, 64); err == nil {
		return i, nil
	}
	return arg, nil
}
