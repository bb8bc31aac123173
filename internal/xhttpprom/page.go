// Package xhttpprom reads the page on which Kamailio's xhttp_prom module shows
// the counters, gauges and histograms that a routing script keeps.
//
// Source: Kamailio's src/modules/xhttp_prom/prom.c and prom_metric.c, and pages
// of Kamailio 5.6 and 6.0.
package xhttpprom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Page is what a routing script keeps.
type Page struct {
	// Families are its metrics, by name, without timestamps.
	Families []*dto.MetricFamily
	// Bad are the lines that are no metric.
	Bad []string
}

// Client fetches the page. It may be used concurrently.
type Client struct {
	url  string
	http *http.Client
}

// NewClient makes a client for the page at an http or https URL. Certificates
// and passwords are the http.Client's to know.
func NewClient(page string, client *http.Client) (*Client, error) {
	u, err := url.Parse(page)
	if err != nil {
		return nil, errors.New("it is no URL of a page: use for example http://127.0.0.1:5060/metrics")
	}
	if u.User != nil {
		return nil, errors.New("passwords do not belong into the URL, where processes and logs show them")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q: it is no URL of a page: use for example http://127.0.0.1:5060/metrics", page)
	}
	return &Client{url: page, http: client}, nil
}

// largestPage is the most that is read of a page, in bytes.
const largestPage = 16 << 20

// Fetch gets the page.
func (c *Client) Fetch(ctx context.Context) (Page, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, http.NoBody)
	if err != nil {
		return Page{}, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return Page{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Page{}, fmt.Errorf("get %s: %s", c.url, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, largestPage+1))
	if err != nil {
		return Page{}, fmt.Errorf("get %s: %w", c.url, err)
	}
	if len(body) > largestPage {
		return Page{}, fmt.Errorf("get %s: the page has more than %d bytes", c.url, largestPage)
	}
	return Parse(string(body)), nil
}

// ownStatistics is how the lines start that introduce Kamailio's own statistics,
// which the module shows too if its parameter xhttp_prom_stats says so. They are
// the same as those of stats.fetch.
var ownStatistics = regexp.MustCompile(`(?m)^# Kamailio (whole internal statistics|statistics for)`)

// Parse reads the part of a page that the routing script keeps. Lines that are
// no metric cost only themselves.
func Parse(text string) Page {
	if at := ownStatistics.FindStringIndex(text); at != nil {
		text = text[:at[0]]
	}
	var page Page
	var good strings.Builder
	good.WriteString(types(text))
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		if _, err := parse(line); err != nil {
			page.Bad = append(page.Bad, strings.TrimSpace(line))
			continue
		}
		good.WriteString(line)
	}
	families, err := parse(good.String())
	if err != nil { // lines that are good one by one, and not together
		page.Bad = append(page.Bad, err.Error())
		return page
	}
	for _, name := range slices.Sorted(maps.Keys(families)) {
		page.Families = append(page.Families, withoutTimestamps(families[name]))
	}
	return page
}

func parse(text string) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(bytes.NewReader([]byte(text)))
}

var (
	bucket = regexp.MustCompile(`(?m)^([a-zA-Z_:][a-zA-Z0-9_:]*)_bucket\{[^}]*le="`)
	total  = regexp.MustCompile(`(?m)^([a-zA-Z_:][a-zA-Z0-9_:]*_total)[ {]`)
)

// types are the types that can be told from the names alone, for a page that
// does not say them: histograms by their buckets, counters by the end of their
// names. What is neither stays untyped.
func types(text string) string {
	if strings.Contains(text, "# TYPE ") {
		return ""
	}
	lines := map[string]bool{}
	for _, match := range bucket.FindAllStringSubmatch(text, -1) {
		lines["# TYPE "+match[1]+" histogram\n"] = true
	}
	for _, match := range total.FindAllStringSubmatch(text, -1) {
		lines["# TYPE "+match[1]+" counter\n"] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(lines)), "")
}

// withoutTimestamps drops the times: they are when the page was made, and
// Prometheus would keep a sample of its own past its end for five minutes.
func withoutTimestamps(family *dto.MetricFamily) *dto.MetricFamily {
	for _, m := range family.GetMetric() {
		m.TimestampMs = nil
	}
	return family
}
