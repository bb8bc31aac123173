//go:build linux

package docs_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestDangers sees that a Kamailio has every method of which the page warns, and that the exporter calls none of them but for
// the one whose secrets it leaves out.
func TestDangers(t *testing.T) {
	k := lab.StartTest(t, lab.Options{Config: `loadmodule "cfg_rpc.so"`})
	methods, err := k.Kamcmd(t.Context(), "system.listMethods")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(readPage(t, "security.md"), "\n| method | what it does |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	found := regexp.MustCompile("`([a-zA-Z0-9_]+\\.[a-zA-Z0-9_]+)`").FindAllStringSubmatch(table, -1)
	if len(found) == 0 {
		t.Fatal("there is no table")
	}
	for _, match := range found {
		if !strings.Contains(methods, match[1]+"\n") {
			t.Errorf("Kamailio has no %s", match[1])
		}
		if _, err := collector.Select(match[1:]); err == nil && match[1] != "uac.reg_dump" {
			t.Errorf("the exporter calls %s", match[1])
		}
	}
	secrets, err := k.Kamcmd(t.Context(), "uac.reg_dump")
	if err != nil || !strings.Contains(secrets, "auth_password: secret") {
		t.Errorf("uac.reg_dump does not show the password (%v):\n%s", err, secrets)
	}
	if strings.Contains(start(t, "-u", k.URI("unix")).scrape(), "secret") {
		t.Error("the exporter shows the password")
	}
}
