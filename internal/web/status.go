package web

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/version"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/web/status"
)

// Paths of the status pages, without the route prefix.
const (
	statusPath     = "/status/"
	stylesheetPath = "/style.css"
)

// statusPages serves the status pages. They show what the targets remember of their last polls.
type statusPages struct {
	cfg    *config.Config
	pool   *scrape.Pool
	gate   *gate         // sets the deadlines of clients, which take no places in it
	making chan struct{} // has a token for each page that is being made
	logger *slog.Logger
}

// maxMaking is the maximum number of status pages that are made at the same time. Others wait: one of many targets takes tens of
// milliseconds.
const maxMaking = 2

func newStatusPages(cfg *config.Config, pool *scrape.Pool, logger *slog.Logger) *statusPages {
	return &statusPages{cfg, pool, newGate(defaultLimits), make(chan struct{}, maxMaking), logger}
}

// addTo adds the pages.
func (s *statusPages) addTo(mux *http.ServeMux) {
	prefix := s.cfg.Web.RoutePrefix
	add := func(pattern string, handler http.HandlerFunc) {
		mux.Handle("GET "+prefix+pattern, withHTMLHeaders(handler))
	}
	if s.cfg.Web.TelemetryPath != "/" {
		add("/{$}", s.serveRoot)
	}
	add(statusPath+"{$}", func(w http.ResponseWriter, r *http.Request) { s.serveFleet(w, r, "../") })
	add(statusPath+"{name}", s.serveTarget)
	mux.Handle("GET "+prefix+stylesheetPath, http.HandlerFunc(serveStylesheet))
}

// serveRoot serves the page at the root: that of the target if there is only one and the request has no filter.
func (s *statusPages) serveRoot(w http.ResponseWriter, r *http.Request) {
	_, err := parseForm(r.URL.RawQuery, []string{status.RefreshParameter})
	if s.pool.Len() == 1 && err == nil {
		for cfg, target := range s.pool.All() {
			s.serveOne(w, r, "./", cfg, target)
			return
		}
	}
	s.serveFleet(w, r, "./")
}

// serveFleet serves the page of all targets. base is the relative URL of the root.
func (s *statusPages) serveFleet(w http.ResponseWriter, r *http.Request, base string) {
	site, values, err := s.site(r, base, filterParameters)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	filter, err := parseFilter(values)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.serve(w, r, func() statusPage {
		var targets []status.Target
		for cfg, target := range s.pool.All() {
			targets = append(targets, statusTarget(cfg, target))
		}
		return status.NewFleet(site, targets, filter)
	})
}

// serveTarget serves the page of the target that the path names.
func (s *statusPages) serveTarget(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	for cfg, target := range s.pool.All() {
		if cmp.Or(cfg.Name, status.Unnamed) == name {
			s.serveOne(w, r, "../", cfg, target)
			return
		}
	}
	http.Error(w, fmt.Sprintf("there is no target %.100q; %s", name, knownTargets(s.pool)), http.StatusNotFound)
}

// serveOne serves the page of one target.
func (s *statusPages) serveOne(w http.ResponseWriter, r *http.Request, base string, cfg *config.Target, target *scrape.Target) {
	site, _, err := s.site(r, base, []string{status.RefreshParameter})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.serve(w, r, func() statusPage {
		return status.NewTarget(site, statusTarget(cfg, target), target.Status(), s.pool.Len() == 1)
	})
}

func statusTarget(cfg *config.Target, target *scrape.Target) status.Target {
	return status.Target{Name: cfg.Name, URI: cfg.URI.Redacted(), Labels: cfg.Labels, Summary: target.Summary(), Polls: target.Polls}
}

// filterParameters are the parameters of the page of all targets.
var filterParameters = []string{status.NameParameter, status.LabelParameter, status.StateParameter, status.PageParameter, status.RefreshParameter}

// parseForm is like parseParameters for a form, which sends parameters without a value.
func parseForm(query string, allowed []string) (url.Values, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("the query of the URL is not valid: %w", err)
	}
	for name, list := range values {
		if list = slices.DeleteFunc(list, func(value string) bool { return value == "" }); len(list) == 0 && slices.Contains(allowed, name) {
			delete(values, name)
		}
	}
	return parseParameters(values.Encode(), allowed)
}

// site returns what all pages have in common, and the parameters of a request.
func (s *statusPages) site(r *http.Request, base string, parameters []string) (status.Site, url.Values, error) {
	values, err := parseForm(r.URL.RawQuery, parameters)
	refresh := values.Get(status.RefreshParameter)
	if err == nil && refresh != "" && refresh != "off" {
		err = fmt.Errorf("the parameter %s must be off", status.RefreshParameter)
	}
	return status.Site{
		Base: base, Metrics: strings.TrimPrefix(s.cfg.Web.TelemetryPath, "/"), File: s.cfg.File != "",
		Exporter: version.Version, Paused: refresh != "", Now: time.Now(),
	}, values, err
}

// statusPage is a page of package status.
type statusPage interface{ Write(w io.Writer) error }

// serve makes a page and sends it.
func (s *statusPages) serve(w http.ResponseWriter, r *http.Request, newPage func() statusPage) {
	text, err := s.render(r.Context(), newPage)
	if err != nil {
		s.logger.Error("Making a status page failed", "err", err)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	sender := s.gate.send(w, len(text))
	defer sender.close()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Add("Vary", "Accept-Encoding")
	_, err = respond(sender, r, minProbe, func(buffer *bufio.Writer) error {
		_, err := buffer.Write(text)
		return err
	})
	if err != nil {
		s.logger.Debug("Answering a request failed", "err", err)
	}
}

// render makes a page when fewer than maxMaking are being made. The whole page is in memory, so that a client that reads slowly does
// not keep others waiting.
func (s *statusPages) render(ctx context.Context, newPage func() statusPage) ([]byte, error) {
	select {
	case s.making <- struct{}{}:
		defer func() { <-s.making }()
	case <-ctx.Done():
		return nil, nil // the client has disconnected
	}
	var text bytes.Buffer
	err := newPage().Write(&text)
	return text.Bytes(), err
}

// parseFilter returns the filter that the parameters name.
func parseFilter(values url.Values) (status.Filter, error) {
	filter := status.Filter{
		Name: values.Get(status.NameParameter), Label: values.Get(status.LabelParameter), State: status.State(values.Get(status.StateParameter)), Page: 1,
	}
	if filter.State != "" && !slices.Contains(status.States, filter.State) {
		return filter, fmt.Errorf("there is no state %.100q; the states are %s", filter.State, joinStates())
	}
	if page := values.Get(status.PageParameter); page != "" {
		var err error
		if filter.Page, err = strconv.Atoi(page); err != nil || filter.Page < 1 {
			return filter, fmt.Errorf("the parameter %s must be a positive number", status.PageParameter)
		}
	}
	return filter, nil
}

func joinStates() string {
	names := make([]string, len(status.States))
	for i, state := range status.States {
		names[i] = string(state)
	}
	return strings.Join(names, ", ")
}

// serveStylesheet serves the style sheet. Its URL changes with its content.
func serveStylesheet(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=86400")
	_, _ = w.Write(status.Style)
}
