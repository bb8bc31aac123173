package docs_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
)

// TestReasons compares the reasons of kamailio_exporter_scrape_error with the anchors of troubleshooting.md, each of which is
// before a heading, and with the links of the table of symptoms.
func TestReasons(t *testing.T) {
	page := readPage(t, "troubleshooting.md")
	var anchors, links []string
	for _, match := range named.FindAllStringSubmatch(page, -1) {
		anchors = append(anchors, match[1])
		if !strings.Contains(page, "\n\n"+match[0]+"\n\n##") {
			t.Errorf("%s is not in a paragraph before a heading", match[0])
		}
	}
	if got := strings.Count(page, "<a "); got != len(anchors) {
		t.Errorf("%d HTML anchors, %d of them have the form %s", got, len(anchors), named)
	}
	_, row, _ := strings.Cut(page, "\n| `kamailio_exporter_scrape_error{reason=\"…\"}` is 1 | ")
	row, _, _ = strings.Cut(row, "\n")
	for _, match := range regexp.MustCompile("\\[`(\\w+)`\\]\\(#(\\w+)\\)").FindAllStringSubmatch(row, -1) {
		links = append(links, match[2])
		if match[1] != match[2] {
			t.Errorf("the link %s has another text", match[0])
		}
	}
	if !slices.Equal(links, hint.Reasons) {
		t.Errorf("the table of symptoms links to %v, want %v", links, hint.Reasons)
	}
	slices.Sort(anchors)
	if want := slices.Sorted(slices.Values(hint.Reasons)); !slices.Equal(anchors, want) {
		t.Errorf("troubleshooting.md has the anchors %v, want %v", anchors, want)
	}
}

// reasonInText matches a reason in a sentence, and in a selector of PromQL.
var reasonInText = regexp.MustCompile("(?:[Rr]eason is `|scrape_error\\{reason=~?\")(\\w+)[`\"]")

// TestReasonsInText checks that the text of all pages has no reason that does not exist.
func TestReasonsInText(t *testing.T) {
	found := 0
	for _, page := range pages(t) {
		for _, match := range reasonInText.FindAllStringSubmatch(readPage(t, page), -1) {
			found++
			if !slices.Contains(hint.Reasons, match[1]) {
				t.Errorf("%s has the reason %s, which is not one of %v", page, match[1], hint.Reasons)
			}
		}
	}
	if found == 0 {
		t.Error("no reason was found")
	}
}
