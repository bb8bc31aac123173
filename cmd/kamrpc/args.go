package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
)

// parseArgs returns the arguments of a method as values for an rpc.Call. As in
// kamcmd, a whole number is an integer, and s: and d: in front of an argument give
// its type.
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

// withoutFlags removes the first -- and refuses what looks like a flag before it.
// To send a flag to Kamailio as an argument and to ignore it can mean that the
// call goes to a Kamailio that was not meant.
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
