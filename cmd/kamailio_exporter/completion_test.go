package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
)

// TestCompletion completes the last word of command lines, some of which have errors. The packages' tests complete in a shell.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line, want, unwanted string
	}{
		{"--kam", "--kamailio.scrape-uri", "debug"},
		{"--log.level ", "debug", "--log.level"},
		{"--log.level=d", "debug", "--log.level"},
		{"--config.check=true --web.", "--web.listen-address", ""},
		{"--web.max-requests x @FILE --help-methods --web.", "--web.listen-address", ""},
		{"--config.file ", "", "--config.file"},
		{"custom-metrics test --", "--reply", "--kamailio.scrape-uri"},
		{"", "check", ""},
		{"c", "custom-metrics", ""},
		{"check --", "--kamailio.scrape-uri", "check"},
		{"check --log.level ", "debug", "--log.level"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), logPatience)
		defer cancel()
		var out, errs bytes.Buffer
		cmd := command(ctx, append([]string{cli.CompletionFlag}, strings.Split(test.line, " ")...)...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		words := strings.Split(out.String(), "\n")
		if err != nil || errs.Len() > 0 || !slices.Contains(words, test.want) || test.unwanted != "" && slices.Contains(words, test.unwanted) {
			t.Errorf("%q: %v, %s, completions %q", test.line, err, &errs, words)
		}
	}
}
