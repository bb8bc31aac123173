package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
)

const (
	// readyPath is the path of the readiness check, without the route prefix.
	readyPath = "/-/ready"
	// reloadPath is the path for reloading the configuration file, without the route prefix.
	reloadPath = "/-/reload"
)

// reloader replaces the configuration.
type reloader struct {
	load func() (*config.Config, error)
	turn chan struct{} // has a token while a reload is running

	successful, time prometheus.Gauge
}

func newReloader(load func() (*config.Config, error), registry *prometheus.Registry) *reloader {
	r := &reloader{
		load: load,
		turn: make(chan struct{}, 1),
		successful: prometheus.NewGauge(prometheus.GaugeOpts{Name: "kamailio_exporter_config_last_reload_successful",
			Help: "1 if the configuration file was valid when it was last loaded, 0 if not."}),
		time: prometheus.NewGauge(prometheus.GaugeOpts{Name: "kamailio_exporter_config_last_reload_success_timestamp_seconds",
			Help: "Unix time at which the configuration file was last loaded successfully."}),
	}
	if load != nil {
		registry.MustRegister(r.successful, r.time)
		r.succeeded()
	}
	return r
}

func (r *reloader) succeeded() {
	r.successful.Set(1)
	r.time.Set(float64(time.Now().UnixMilli()) / 1000)
}

// ErrNoFile is the error of a reload without a configuration file.
var ErrNoFile = errors.New("there is no configuration file to reload")

// Reload loads the configuration file again and replaces the targets. If the file is not valid, the old configuration stays, and
// the error has a line for each fault. Reloads run one after another; ctx limits the wait for another one.
func (h *Handler) Reload(ctx context.Context) error {
	if h.reloader.load == nil {
		return ErrNoFile
	}
	select {
	case h.reloader.turn <- struct{}{}:
		defer func() { <-h.reloader.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	cfg, err := h.reloader.load()
	if err != nil {
		h.reloader.successful.Set(0)
		h.logFaults(err)
		return err
	}
	h.pool.Reload(cfg)
	h.gate.setLimits(cfg.Web.MaxRequests, len(cfg.All()))
	h.reloader.succeeded()
	for _, warning := range cfg.Warnings {
		h.logger.Warn(warning)
	}
	h.logger.Info("Reloaded the configuration file", "targets", len(cfg.Targets))
	return nil
}

// logFaults logs each fault of a configuration that was not loaded.
func (h *Handler) logFaults(err error) {
	faults := []error{err}
	if wrong, ok := errors.AsType[*config.FileError](err); ok {
		faults = wrong.Faults()
	}
	for _, fault := range faults {
		h.logger.Error("Reloading the configuration file failed, the old configuration stays", "err", fault)
	}
}

// serveReload reloads the configuration file. Requests that a browser sends for another site are refused.
func (h *Handler) serveReload(w http.ResponseWriter, r *http.Request) {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		http.Error(w, "requests from other sites are refused", http.StatusForbidden)
		return
	}
	if err := h.Reload(r.Context()); err != nil {
		http.Error(w, "The configuration file was not reloaded:\n"+err.Error(), http.StatusInternalServerError)
	}
}
