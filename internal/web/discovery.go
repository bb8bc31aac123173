package web

import (
	"bufio"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

// discoveryPath is the path of the targets for Prometheus' http_sd_configs, without the route prefix.
const discoveryPath = "/sd"

// discovery serves the targets in the format of Prometheus' HTTP service discovery. It shows names and labels only.
type discovery struct {
	cfg    config.Web
	pool   *scrape.Pool
	gate   *gate // sets the deadlines of clients, which take no places in it
	logger *slog.Logger
}

func newDiscovery(cfg config.Web, pool *scrape.Pool, logger *slog.Logger) *discovery {
	return &discovery{cfg, pool, newGate(defaultLimits), logger}
}

// targetGroup is an element of the list.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

func (d *discovery) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := parseParameters(r.URL.RawQuery, nil); err != nil {
		http.Error(w, "this page has no parameters", http.StatusBadRequest)
		return
	}
	if r.Host == "" && (d.cfg.ExternalURL == nil || d.cfg.ExternalURL.Host == "") {
		http.Error(w, "the request needs a Host header", http.StatusBadRequest)
		return
	}
	sender := d.gate.send(w, 0)
	defer sender.close()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Add("Vary", "Accept-Encoding")
	_, err := respond(sender, r, minProbe, func(buffer *bufio.Writer) error { return d.write(buffer, r) })
	if err != nil {
		d.logger.Debug("Answering a request failed", "err", err)
	}
}

// write writes the list. It keeps one target in memory at a time, because clients may read a long list slowly.
func (d *discovery) write(buffer *bufio.Writer, r *http.Request) error {
	scheme, host, path := d.address(r)
	encoder := json.NewEncoder(buffer)
	before := "["
	for _, target := range d.pool.Configs() {
		labels := map[string]string{
			"__scheme__":       scheme,
			"__metrics_path__": path,
			"__param_target":   target.Name,
			"instance":         target.Name,
		}
		maps.Copy(labels, target.Labels)
		_, _ = buffer.WriteString(before)
		if err := encoder.Encode(targetGroup{[]string{host}, labels}); err != nil {
			return err
		}
		before = ","
	}
	_, err := buffer.WriteString(strings.TrimPrefix(before+"]\n", ","))
	return err
}

// address returns where Prometheus finds the metrics of the targets: at the external URL, or where the request came in.
func (d *discovery) address(r *http.Request) (scheme, host, path string) {
	path = d.cfg.RoutePrefix + probePath
	external := d.cfg.ExternalURL
	if external != nil && external.Path != "" {
		path = strings.TrimRight(external.Path, "/") + probePath
	}
	if external != nil && external.Host != "" {
		return external.Scheme, external.Host, path
	}
	if r.TLS != nil {
		return "https", r.Host, path
	}
	return "http", r.Host, path
}
