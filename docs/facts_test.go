package docs_test

import (
	"cmp"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

var (
	// helpFlag matches a flag in --help: its short form, its name, and its default or a placeholder in capitals.
	helpFlag = regexp.MustCompile(`(?m)^  (?:-(\w), |    )--(?:\[no-\])?([a-z.-]+)(?:="?([^"\s]*?)"?(?:\.\.\.)?)?(?:\s|$)`)
	// tableFlag matches the same in a row of the table of flags.
	tableFlag = regexp.MustCompile("(?m)^\\| `--([a-z.-]+)` \\| (?:`-(\\w)`)? ?\\| (?:`([^`]*)`)? ?\\|")
	// placeholder matches what --help has where there is no default, and what it has for a flag without a value.
	placeholder = regexp.MustCompile(`^([A-Z].*)?$`)
)

// TestFlags compares the table of flags with --help: names, short forms, and the defaults that --help has.
func TestFlags(t *testing.T) {
	help, err := exec.CommandContext(t.Context(), filepath.Join(programs, "kamailio_exporter"), "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	table := map[string][]string{}
	for _, match := range tableFlag.FindAllStringSubmatch(readPage(t, "configuring.md"), -1) {
		table[match[1]] = match[2:]
	}
	for _, match := range helpFlag.FindAllStringSubmatch(string(help), -1) {
		short, name, value := match[1], match[2], match[3]
		row, ok := table[name]
		if !ok || row[0] != short || value != row[1] && !placeholder.MatchString(value) {
			t.Errorf("--%s has the short form %q and the default %q, in the table %q", name, short, value, row)
		}
		delete(table, name)
	}
	for name := range table {
		t.Errorf("the program has no --%s", name)
	}
}

// TestJSONRPC compares the list of methods that are not called over JSON-RPC with the collectors.
func TestJSONRPC(t *testing.T) {
	_, section, _ := strings.Cut(readPage(t, "configuring.md"), "### JSON-RPC")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, c := range collector.All {
		if c.BINRPCOnly != strings.Contains(section, "`"+c.Method+"`") {
			t.Errorf("configuring.md is wrong about %s over JSON-RPC", c.Method)
		}
	}
}

// TestMethods compares the tables of methods with the collectors: what is called by default, and what is not.
func TestMethods(t *testing.T) {
	called := map[string]string{}
	for _, mark := range []string{"default methods", "other methods"} {
		for _, cells := range rows(t, mark) {
			for _, method := range quoted(cells[1]) {
				called[method] = mark
			}
		}
	}
	for _, c := range collector.All {
		want := "default methods"
		if !c.Auto || c.Setting != "" {
			want = "other methods"
			if !strings.Contains(readPage(t, "configuring.md"), "`"+c.Method+"`") {
				t.Errorf("configuring.md does not say why %s is not in auto", c.Method)
			}
		}
		if called[c.Method] != want {
			t.Errorf("%s belongs to the table of %s, not of %q", c.Method, want, called[c.Method])
		}
	}
}

// descs returns the descriptions of all series by name, except for those of [ownFamilies].
func descs() map[string]*metric.Desc {
	all := map[string]*metric.Desc{}
	for _, desc := range slices.Concat(scrape.Metrics(), scrape.SIPMetrics(), scrape.HostMetrics()) {
		all[desc.Name] = desc
	}
	for _, c := range collector.All {
		for _, desc := range c.Metrics {
			all[desc.Name] = desc
		}
	}
	return all
}

var (
	namedSeries = regexp.MustCompile("(?m)(?:`|^)(kamailio_[a-z0-9_]*[a-z0-9])(?:\\{(.*?)\\})?(?:`| \\S+$)")
	labelName   = regexp.MustCompile(`(\w+)="`)
)

// TestSeries checks that the exporter has every series that the pages name or show a sample of, with these labels. Those in
// migrating.md, which has other exporters' series too, are compared with a live server by TestMigrating.
func TestSeries(t *testing.T) {
	known := descs()
	for _, family := range ownFamilies(t) {
		known[family.Name] = &metric.Desc{Labels: family.Labels}
	}
	for _, name := range []string{"kamailio_exporter", "kamailio_ctl"} {
		known[name] = &metric.Desc{}
	}
	for _, page := range pages(t) {
		if page == "migrating.md" || page == "../CHANGELOG.md" {
			continue
		}
		for _, match := range namedSeries.FindAllStringSubmatch(readPage(t, page), -1) {
			desc := known[match[1]]
			if desc == nil {
				t.Errorf("%s has %s", page, match[1])
				continue
			}
			for _, label := range labelName.FindAllStringSubmatch(match[2], -1) {
				if !slices.Contains(desc.Labels, label[1]) {
					t.Errorf("%s has %s with a label %s", page, match[1], label[1])
				}
			}
		}
	}
}

// selector matches a series in a PromQL expression.
var selector = regexp.MustCompile(`(kamailio_\w+)(?:\{([^}]*)\})?`)

// TestQuestions checks that the exporter has every series in the expressions of metrics.md, and that a captured reply has
// a sample of it with these labels.
func TestQuestions(t *testing.T) {
	golden := goldenFiles(t)
	known, found := descs(), 0
	for _, cells := range rows(t, "questions") {
		for _, expression := range quoted(cells[1]) {
			for _, match := range selector.FindAllStringSubmatch(expression, -1) {
				found++
				if known[match[1]] == nil {
					t.Errorf("%s: there is no %s", cells[0], match[1])
				}
				sample := regexp.MustCompile(`(?m)^` + match[1] + `(\{(.*,)?` + regexp.QuoteMeta(match[2]) + `.*\})? `)
				captured := func(text string) bool { return sample.MatchString(text) }
				if !slices.ContainsFunc(slices.Concat(scrape.Metrics(), scrape.SIPMetrics(), scrape.HostMetrics()), func(desc *metric.Desc) bool { return desc.Name == match[1] }) &&
					!slices.ContainsFunc(slices.Collect(maps.Values(golden)), captured) {
					t.Errorf("%s: no captured reply has %s", cells[0], match[0])
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("the table has %d series", found)
	}
}

// TestContract compares the names and labels of the series that v0 to v2 had with the table in migrating.md.
func TestContract(t *testing.T) {
	known, found := descs(), 0
	for _, family := range ownFamilies(t) {
		known[family.Name] = &metric.Desc{Labels: family.Labels}
	}
	for _, cells := range rows(t, "contract") {
		for _, name := range quoted(cells[0]) {
			found++
			if desc := known[name]; desc == nil || !slices.Equal(desc.Labels, quoted(cells[1])) {
				t.Errorf("%s does not have the labels %q, but %+v", name, quoted(cells[1]), desc)
			}
		}
	}
	if found < 30 {
		t.Errorf("the table has %d series", found)
	}
}

// TestDirectories checks that ARCHITECTURE.md has a row for each directory of code.
func TestDirectories(t *testing.T) {
	list, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{slice .ImportPath (len .Module.Path)}}", "../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	page := readPage(t, "../ARCHITECTURE.md")
	for dir := range strings.FieldsSeq(string(list)) {
		dir = strings.TrimPrefix(dir, "/")
		// Rows of internal/NAME, packaging and so on stand for what is below them.
		if parts := strings.SplitN(dir, "/", 3); len(parts) == 3 || parts[0] == "packaging" {
			continue
		}
		if !strings.Contains(page, "| `"+dir+"` |") {
			t.Errorf("ARCHITECTURE.md has no row for %s", dir)
		}
	}
}

var (
	startsGoroutine  = regexp.MustCompile(`(?m)^\s*(go [\w.]+\(|.*\.Go\(func).*`)
	checksGoroutines = regexp.MustCompile(`goleak\.(VerifyTestMain|Find)\(`)
)

// TestGoroutinesAreChecked checks that goleak is in the tests of each package that starts goroutines, as docs/reliability.md says.
func TestGoroutinesAreChecked(t *testing.T) {
	list, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dir := range strings.Lines(string(list)) {
		files, err := filepath.Glob(filepath.Join(strings.TrimSpace(dir), "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		start, checked := "", false
		for _, file := range files {
			text := readPage(t, file)
			start = cmp.Or(start, startsGoroutine.FindString(text))
			checked = checked || checksGoroutines.MatchString(text)
		}
		if start != "" && !checked {
			t.Errorf("%s starts a goroutine, which no test checks with goleak: %s", strings.TrimSpace(dir), start)
		}
	}
}
