//go:build linux

package main

import (
	"strings"
	"testing"
)

func TestCheckPage(t *testing.T) {
	t.Parallel()
	const page = "# HELP kamailio_up Whether.\nkamailio_up 1.0\nkamailio_exporter_failed_scrapes 0.0\n" +
		"kamailio_exporter_collector_success{collector=\"tm.stats\"} 1.0\n"
	if err := checkPage([]byte(page), []string{"tm.stats"}); err != nil {
		t.Error(err)
	}
	for _, line := range []string{"kamailio_up", "kamailio_exporter_failed_scrapes", `kamailio_exporter_collector_success{collector="tm.stats"}`} {
		swapped := strings.NewReplacer(line+" 1.0", line+" 0.0", line+" 0.0", line+" 1.0").Replace(page)
		if err := checkPage([]byte(swapped), []string{"tm.stats"}); err == nil {
			t.Errorf("no error for the other value of %s", line)
		}
	}
}
