package mixin

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-jsonnet"
)

var update = flag.Bool("update", false, "write the tables of alerts in docs/alerts.md anew")

const page = "../docs/alerts.md"

// TestList compares the list of alerts in docs/alerts.md with the alerts.
func TestList(t *testing.T) { checkTable(t, "alerts", list(t)) }

// checkTable compares a table in docs/alerts.md, which is between two comments with a name, with the table that it must be.
func checkTable(t *testing.T, name, table string) {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
	before, rest, ok := strings.Cut(readFile(t, page), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no %s or no %s", page, begin, end)
	}
	want := before + begin + table + end + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if readFile(t, page) != want {
		t.Errorf("the table %s in %s is stale: run go test -run %s -update in mixin", name, page, t.Name())
	}
}

// list returns the table of the alerts.
func list(t *testing.T) string {
	t.Helper()
	var table strings.Builder
	table.WriteString("| alert | severity | after | meaning |\n|---|---|---|---|\n")
	for _, r := range rulesOf(t, "alerts.yml") {
		_, meaning, ok := strings.Cut(r.Annotations["summary"], "}}: ")
		if !ok {
			meaning = r.Annotations["summary"]
		}
		meaning = strings.NewReplacer("{{ $labels.", "`", " }}", "`").Replace(meaning)
		meaning = strings.ToUpper(meaning[:1]) + meaning[1:]
		after := cmp.Or(r.For, "at once")
		fmt.Fprintf(&table, "| [%s](runbooks/%s.md) | %s | %s | %s |\n", r.Alert, r.Alert, r.Labels["severity"], after, meaning)
	}
	return table.String()
}

// TestNamesInPage checks that each alert that docs/alerts.md names exists.
func TestNamesInPage(t *testing.T) {
	alerts := rulesOf(t, "alerts.yml")
	for _, part := range strings.Split(readFile(t, page), "`")[1:] {
		name, found := strings.CutSuffix(part, "…")
		if !strings.HasPrefix(name, "Kamailio") || strings.ContainsAny(name, " \n.") {
			continue
		}
		if !slices.ContainsFunc(alerts, func(r rule) bool { return r.Alert == name || found && strings.HasPrefix(r.Alert, name) }) {
			t.Errorf("%s names %s, which is no alert", page, part)
		}
	}
}

// TestJsonnetInPage evaluates the example of docs/alerts.md.
func TestJsonnetInPage(t *testing.T) {
	_, example, _ := strings.Cut(readFile(t, page), "```jsonnet\n")
	example, _, ok := strings.Cut(example, "```\n")
	if !ok {
		t.Fatalf("%s has no block of jsonnet", page)
	}
	dir := t.TempDir()
	mixin, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(mixin, filepath.Join(dir, "kamailio")); err != nil {
		t.Fatal(err)
	}
	vm := jsonnet.MakeVM()
	vm.Importer(&jsonnet.FileImporter{JPaths: []string{dir}})
	text, err := vm.EvaluateAnonymousSnippet("example.jsonnet", example)
	if err != nil {
		t.Fatal(err)
	}
	var file ruleFile
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	got := map[string]rule{}
	for _, group := range file.Groups {
		for _, r := range group.Rules {
			got[r.Alert] = r
		}
	}
	if len(got) != len(rulesOf(t, "alerts.yml"))-1 || got["KamailioVersionChanged"].Alert != "" {
		t.Errorf("it has %d alerts, want all but one", len(got))
	}
	if expr := got["KamailioNotScraped"].Expr; expr != `up{job="sip"} == 0` {
		t.Errorf("KamailioNotScraped is %s", expr)
	}
	if got["KamailioScrapeSlow"].For != "30m" || got["KamailioPikeBlocks"].Labels["severity"] != "info" {
		t.Errorf("the changes are lost: %v, %v", got["KamailioScrapeSlow"], got["KamailioPikeBlocks"])
	}
}
