// Package xhttpprom reads the HTTP page of the Kamailio module xhttp_prom, which has
// the counters, gauges and histograms that a routing script defines.
//
// Source: Kamailio's src/modules/xhttp_prom/prom.c and prom_metric.c, and pages
// of Kamailio 5.6 and 6.0.
package xhttpprom

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Limits of a page. A line of Kamailio has at most four labels; maxQuotes is needed
// because the time of the parser is quadratic in the number of labels.
const (
	maxPageSize  = 1 << 20 // bytes
	maxLines     = 20_000
	maxQuotes    = 64 // in a line; a label has two
	maxBad       = 100
	maxBadLength = 200 // bytes
)

// Page has the metrics of a routing script.
type Page struct {
	// Families are the metrics, sorted by name, without timestamps.
	Families []*dto.MetricFamily
	// Bad has the first 100 lines that are not valid, cut after 200 bytes.
	Bad []string
	// BadCount is the number of lines that are not valid.
	BadCount int
}

// bad adds a line that is not valid.
func (p *Page) bad(line string) {
	p.BadCount++
	if len(p.Bad) == maxBad {
		return
	}
	if len(line) > maxBadLength {
		line = strings.ToValidUTF8(line[:maxBadLength], "") + "..."
	}
	p.Bad = append(p.Bad, line)
}

// Client gets the page. It may be used concurrently.
type Client struct {
	url   string
	shown string // the URL for errors
	http  *http.Client
}

// NewClient returns a client for the page at an http or https URL. It uses the
// certificates and passwords of client, but not its CheckRedirect: redirects are never
// followed. The error does not contain the URL.
func NewClient(page string, client *http.Client) (*Client, error) {
	u, err := url.Parse(page)
	if err != nil {
		return nil, errNoURL
	}
	if u.User != nil {
		return nil, errors.New("a URL must not contain a password, because process lists and logs show URLs")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errNoURL
	}
	direct := *client
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{url: page, shown: withoutSecrets(u), http: &direct}, nil
}

// errNoURL does not contain the URL, because a mistyped URL may contain a password.
var errNoURL = errors.New("this is not the URL of a page, use for example http://127.0.0.1:5060/metrics")

// withoutSecrets returns a URL without user, password and query.
func withoutSecrets(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// Fetch gets and parses the page; see [Parse]. The errors do not contain secrets of the
// URL.
func (c *Client) Fetch(ctx context.Context) (Page, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, http.NoBody)
	if err != nil {
		return Page{}, withoutURLs(err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return Page{}, withoutURLs(err)
	}
	defer response.Body.Close()
	if location, err := response.Location(); err == nil && response.StatusCode/100 == http.StatusMultipleChoices/100 {
		return Page{}, fmt.Errorf("get %s: %s, which redirects to %s: redirects are not followed, give the URL of the page itself",
			c.shown, response.Status, withoutSecrets(location))
	}
	if response.StatusCode != http.StatusOK {
		return Page{}, fmt.Errorf("get %s: %s", c.shown, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPageSize+1))
	if err != nil {
		return Page{}, fmt.Errorf("get %s: %w", c.shown, err)
	}
	if len(body) > maxPageSize {
		return Page{}, fmt.Errorf("get %s: the page has more than %d bytes", c.shown, maxPageSize)
	}
	page, err := Parse(ctx, string(body))
	if err != nil {
		return page, fmt.Errorf("get %s: %w", c.shown, err)
	}
	return page, nil
}

// CloseIdleConnections closes the connections that are not in use.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// withoutURLs returns the error of a request without the secrets of the URLs in it. They
// can be the URL of the page, of a proxy, or of a request for a token.
func withoutURLs(err error) error {
	outer, ok := errors.AsType[*url.Error](err)
	if !ok && strings.Contains(err.Error(), "://") {
		return errors.New("the URL of a redirect or of a proxy is not valid")
	}
	if !ok {
		return err
	}
	shown := ""
	if u, err := url.Parse(outer.URL); err == nil {
		shown = withoutSecrets(u)
	}
	return &url.Error{Op: outer.Op, URL: shown, Err: withoutURLs(outer.Err)}
}

// errNoMetric is the error of another kind of page, for example a login page.
var errNoMetric = errors.New("the page has lines, but none of them is a metric")

// Parse parses the metrics of the routing script. It drops the metrics that Kamailio
// adds to the page. A line that is not valid is dropped and counted in the Page. If no
// line is valid, Parse returns an error and the Page. An empty page is not an error.
func Parse(ctx context.Context, text string) (Page, error) {
	lines := scriptLines(text)
	if len(lines) > maxLines {
		return Page{}, fmt.Errorf("the page has more than %d lines", maxLines)
	}
	r := newReader()
	r.split(lines)
	for _, name := range r.names {
		if err := r.read(ctx, name, r.lines[name]); err != nil {
			return Page{}, err
		}
	}
	r.addFamilies()
	if len(r.page.Families) == 0 && r.sampled {
		return r.page, errNoMetric
	}
	return r.page, nil
}

// reader turns lines into families. It first parses each line as a sample of its own
// name. Then it composes histograms and summaries. Samples of an incomplete histogram or
// summary remain families of their own names.
type reader struct {
	page    Page
	parser  expfmt.TextParser
	sampled bool                // the page has lines other than comments
	names   []string            // of samples, in the order of the page
	lines   map[string][]string // of samples, by name
	types   map[string]dto.MetricType
	helps   map[string]string
	seen    map[string]bool // name and labels of each sample
	series  map[string][]*dto.Metric
}

func newReader() *reader {
	return &reader{
		// Kamailio has no names that need quotes. When they are escaped for an
		// older Prometheus, they can become equal to other names.
		parser: expfmt.NewTextParser(model.LegacyValidation),
		lines:  map[string][]string{},
		types:  map[string]dto.MetricType{},
		helps:  map[string]string{},
		seen:   map[string]bool{},
		series: map[string][]*dto.Metric{},
	}
}

var comment = regexp.MustCompile(`^#[ \t]*(HELP|TYPE)[ \t]+([a-zA-Z_:][a-zA-Z0-9_:]*)[ \t]+(.+)$`)

// split groups the lines by the name of their metric.
func (r *reader) split(lines []string) {
	for _, line := range lines {
		if line[0] == '#' {
			r.comment(line)
			continue
		}
		r.sampled = true
		name := nameOf(line)
		if name == "" || strings.Count(line, `"`) > maxQuotes {
			r.page.bad(line)
			continue
		}
		if r.lines[name] == nil {
			r.names = append(r.names, name)
		}
		r.lines[name] = append(r.lines[name], line)
	}
}

// nameOf returns the metric name at the start of a line, "" if there is none.
func nameOf(line string) string {
	name := line
	if end := strings.IndexFunc(line, func(c rune) bool { return !strings.ContainsRune(inNames, c) }); end >= 0 {
		name = line[:end]
	}
	if !model.LegacyValidation.IsValidMetricName(name) {
		return ""
	}
	return name
}

const inNames = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:"

var (
	typeNames = map[string]dto.MetricType{
		"counter":   dto.MetricType_COUNTER,
		"gauge":     dto.MetricType_GAUGE,
		"histogram": dto.MetricType_HISTOGRAM,
		"summary":   dto.MetricType_SUMMARY,
		"untyped":   dto.MetricType_UNTYPED,
	}
	unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n")
)

// comment reads a line HELP or TYPE, which may be anywhere on the page. The first type
// and the first help of a name are used.
func (r *reader) comment(line string) {
	match := comment.FindStringSubmatch(line)
	if match == nil {
		return
	}
	name, value := match[2], match[3]
	if match[1] == "HELP" {
		if _, ok := r.helps[name]; !ok {
			r.helps[name] = strings.ToValidUTF8(unescape.Replace(value), "?")
		}
		return
	}
	kind, ok := typeNames[strings.ToLower(value)]
	if _, again := r.types[name]; again || !ok {
		r.page.bad(line)
		return
	}
	r.types[name] = kind
}

// read parses the samples of one name together. If that fails, it parses each line
// separately.
func (r *reader) read(ctx context.Context, name string, lines []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(withoutTime(line) + "\n")
	}
	families, err := r.parser.TextToMetricFamilies(strings.NewReader(text.String()))
	metrics := families[name].GetMetric()
	if err == nil && len(metrics) == len(lines) {
		for i, line := range lines {
			r.add(name, line, metrics[i])
		}
		return nil
	}
	if len(lines) == 1 {
		r.page.bad(lines[0])
		return nil
	}
	for _, line := range lines {
		if err := r.read(ctx, name, []string{line}); err != nil {
			return err
		}
	}
	return nil
}

// withoutTime returns the line of a sample without its timestamp, which is the time of
// the page. With timestamps, Prometheus would show series for five minutes after their
// end. The parser does not accept all forms of the timestamp: milliseconds, seconds, or
// seconds with decimals, depending on Kamailio's parameter timestamp_format.
func withoutTime(line string) string {
	end := strings.LastIndexByte(line, '}') + 1
	if end == 0 {
		end = len(nameOf(line))
	}
	fields := strings.Fields(line[end:])
	if len(fields) != 2 {
		return line
	}
	if _, err := strconv.ParseFloat(fields[1], 64); err != nil {
		return line
	}
	return line[:end] + " " + fields[0]
}

// add adds a sample if client_golang and Prometheus accept it. Otherwise the line counts
// as bad.
func (r *reader) add(name, line string, m *dto.Metric) {
	// For Prometheus, a label without a value is the same as no label.
	m.Label = slices.DeleteFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetValue() == "" })
	slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) })
	reserved := func(l *dto.LabelPair) bool { return strings.HasPrefix(l.GetName(), model.ReservedLabelPrefix) }
	key := name + keyOf(m.Label)
	if slices.ContainsFunc(m.Label, reserved) || r.seen[key] {
		r.page.bad(line)
		return
	}
	r.seen[key] = true
	r.series[name] = append(r.series[name], m)
}

// keyOf returns a key of a label set. Its separator cannot be part of a valid name or
// value.
func keyOf(labels []*dto.LabelPair) string {
	var b strings.Builder
	for _, label := range labels {
		b.WriteString("\xff" + label.GetName() + "\xff" + label.GetValue())
	}
	return b.String()
}

// addFamilies turns the samples into families of the page.
func (r *reader) addFamilies() {
	used := map[string]bool{} // names of samples that are part of a histogram or summary
	compound := r.compound()
	for _, name := range slices.Sorted(maps.Keys(compound)) {
		kind := compound[name]
		metrics := r.compose(name, kind)
		if metrics == nil || used[name] {
			continue
		}
		points, _ := pointsOf(name, kind)
		used[points], used[name+"_sum"], used[name+"_count"] = true, true, true
		r.addFamily(name, kind, metrics)
	}
	for name, metrics := range r.series {
		if !used[name] {
			r.addFamily(name, r.kind(name), metrics)
		}
	}
	slices.SortFunc(r.page.Families, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
}

// compound returns the names of possible histograms and summaries, with their types. On
// a page without any TYPE, a name with buckets is a possible histogram.
func (r *reader) compound() map[string]dto.MetricType {
	all := map[string]dto.MetricType{}
	for name, kind := range r.types {
		if kind == dto.MetricType_HISTOGRAM || kind == dto.MetricType_SUMMARY {
			all[name] = kind
		}
	}
	if len(r.types) > 0 {
		return all
	}
	for name := range r.series {
		if base, ok := strings.CutSuffix(name, "_bucket"); ok && base != "" {
			all[base] = dto.MetricType_HISTOGRAM
		}
	}
	return all
}

// kind returns the type of a family that is neither a histogram nor a summary. On a page
// without any TYPE, a name that ends in _total is a counter.
func (r *reader) kind(name string) dto.MetricType {
	kind, ok := r.types[name]
	if ok && kind != dto.MetricType_HISTOGRAM && kind != dto.MetricType_SUMMARY {
		return kind
	}
	if len(r.types) == 0 && strings.HasSuffix(name, "_total") {
		return dto.MetricType_COUNTER
	}
	return dto.MetricType_UNTYPED
}

// addFamily adds a family to the page.
func (r *reader) addFamily(name string, kind dto.MetricType, metrics []*dto.Metric) {
	for _, m := range metrics {
		setType(m, kind)
	}
	family := &dto.MetricFamily{Name: new(name), Type: kind.Enum(), Metric: metrics}
	if help, ok := r.helps[name]; ok {
		family.Help = new(help)
	}
	r.page.Families = append(r.page.Families, family)
}

// setType turns a sample that was parsed without a type into a counter or gauge.
func setType(m *dto.Metric, kind dto.MetricType) {
	switch kind {
	case dto.MetricType_COUNTER:
		m.Counter, m.Untyped = &dto.Counter{Value: m.Untyped.Value}, nil
	case dto.MetricType_GAUGE:
		m.Gauge, m.Untyped = &dto.Gauge{Value: m.Untyped.Value}, nil
	default:
	}
}

// pointsOf returns the name of the samples that are the buckets of a histogram or the
// quantiles of a summary, and the name of their label.
func pointsOf(name string, kind dto.MetricType) (series, label string) {
	if kind == dto.MetricType_SUMMARY {
		return name, model.QuantileLabel
	}
	return name + "_bucket", model.BucketLabel
}

// point is a bucket or a quantile.
type point struct{ at, value float64 }

// whole is a histogram or summary with one label set, while it is composed.
type whole struct {
	labels     []*dto.LabelPair
	points     []point
	sum, count *float64
}

// wholes are the histograms or summaries of one name, by keyOf their labels.
type wholes map[string]*whole

// of returns the one with these labels, which is added if it is new.
func (all wholes) of(labels []*dto.LabelPair) *whole {
	key := keyOf(labels)
	if all[key] == nil {
		all[key] = &whole{labels: labels}
	}
	return all[key]
}

// addPoint adds a bucket or quantile. It returns false if label is missing or not a
// number.
func (all wholes) addPoint(m *dto.Metric, label string) bool {
	i := slices.IndexFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetName() == label })
	if i < 0 {
		return false
	}
	at, err := strconv.ParseFloat(m.Label[i].GetValue(), 64)
	if err != nil || math.IsNaN(at) {
		return false
	}
	w := all.of(slices.Concat(m.Label[:i], m.Label[i+1:]))
	w.points = append(w.points, point{at, m.Untyped.GetValue()})
	return true
}

// compose returns the histograms or summaries of a name. It returns nil if a sample is
// missing, because Prometheus would get a 0 that the page does not have, or if a sample
// does not fit.
func (r *reader) compose(name string, kind dto.MetricType) []*dto.Metric {
	if kind == dto.MetricType_HISTOGRAM && r.series[name] != nil {
		return nil
	}
	all := wholes{}
	points, label := pointsOf(name, kind)
	for _, m := range r.series[points] {
		if !all.addPoint(m, label) {
			return nil
		}
	}
	for _, m := range r.series[name+"_sum"] {
		all.of(m.Label).sum = m.Untyped.Value
	}
	for _, m := range r.series[name+"_count"] {
		all.of(m.Label).count = m.Untyped.Value
	}
	var metrics []*dto.Metric
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if !all[key].complete(label) {
			return nil
		}
		metrics = append(metrics, all[key].metric(kind))
	}
	if slices.Contains(metrics, nil) {
		return nil
	}
	return metrics
}

// complete reports whether w has a sum, a count, and no point twice. It sorts the points.
func (w *whole) complete(label string) bool {
	if w.sum == nil || w.count == nil || !isCount(*w.count) {
		return false
	}
	if slices.ContainsFunc(w.labels, func(l *dto.LabelPair) bool { return l.GetName() == label }) {
		return false // a sum or count with the label of a point
	}
	slices.SortFunc(w.points, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	for i, p := range w.points {
		if i > 0 && p.at == w.points[i-1].at {
			return false // for example 1 and 1.0
		}
	}
	return true
}

// metric returns the histogram or summary; see histogram.
func (w *whole) metric(kind dto.MetricType) *dto.Metric {
	if kind == dto.MetricType_SUMMARY {
		return w.summary()
	}
	return w.histogram()
}

func (w *whole) summary() *dto.Metric {
	summary := &dto.Summary{SampleCount: new(uint64(*w.count)), SampleSum: w.sum}
	for _, p := range w.points {
		summary.Quantile = append(summary.Quantile, &dto.Quantile{Quantile: new(p.at), Value: new(p.value)})
	}
	return &dto.Metric{Label: w.labels, Summary: summary}
}

// histogram returns the histogram. It returns nil if the last bucket is missing or a
// bucket has a value that is not a count.
func (w *whole) histogram() *dto.Metric {
	if len(w.points) == 0 || !math.IsInf(w.points[len(w.points)-1].at, +1) {
		return nil
	}
	histogram := &dto.Histogram{SampleCount: new(uint64(*w.count)), SampleSum: w.sum}
	for _, p := range w.points {
		if !isCount(p.value) {
			return nil
		}
		histogram.Bucket = append(histogram.Bucket, &dto.Bucket{UpperBound: new(p.at), CumulativeCount: new(uint64(p.value))})
	}
	return &dto.Metric{Label: w.labels, Histogram: histogram}
}

// isCount reports whether a number can be a count: an integer from 0 to 2⁶³-1.
func isCount(v float64) bool { return v >= 0 && v < 1<<63 && v == math.Trunc(v) }
