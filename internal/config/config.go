// Package config turns the command line into one checked value. No other package except those of the programs knows the names
// of flags.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"

	"github.com/alecthomas/kingpin/v2"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/xhttpprom"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// Config is the configuration of the exporter. Its values have been checked.
type Config struct {
	Web Web
	Log promslog.Config
	// Target is the target of --kamailio.scrape-uri.
	Target *Target
}

// Web is the configuration of the exporter's own pages.
type Web struct {
	// Listen has the addresses to listen on, and the file with the TLS and authentication settings.
	Listen *toolkit.FlagConfig
	// RoutePrefix is the prefix of the paths of all pages, for example "/kamailio"; "" for none.
	RoutePrefix string
	// TelemetryPath is the path of the metrics after RoutePrefix, for example "/metrics".
	TelemetryPath string
	// MaxRequests is the maximum number of requests for metrics that are answered at the same time. It is positive.
	MaxRequests int
	// ExporterMetrics adds the metrics of the exporter's own process: go_*, process_* and promhttp_*.
	ExporterMetrics bool
}

// Target is one Kamailio to monitor.
type Target struct {
	// URI is the socket or URL on which Kamailio listens for RPC.
	URI dial.Target
	// Module says which methods to call and how.
	Module *Module
	// HTTP is the client for http:// and https:// URIs. It has the credentials.
	HTTP *http.Client
	// XHTTPProm gets the page of the Kamailio module xhttp_prom; nil if no page is configured.
	XHTTPProm *xhttpprom.Client
}

// Parse parses the command line. args does not include the program's name. The error names the wrong flag and the allowed
// values.
func Parse(args []string) (*Config, error) {
	app, f := newApp()
	if err := cli.Parse(app, args); err != nil {
		return nil, err
	}
	return f.config()
}

// App returns the application with all flags. It is for tests and documentation of the flags.
func App() *kingpin.Application {
	app, _ := newApp()
	return app
}

// SettingName returns the flag of a setting, for example "--kamailio.timeout" for "timeout". key is the key of the setting in a
// module or a target of a configuration file.
func SettingName(key string) string { return "--" + flagOf(key) }

// config checks combinations of flags and returns the configuration.
func (f *flags) config() (*Config, error) {
	web, err := f.webConfig()
	if err != nil {
		return nil, err
	}
	target, err := f.target()
	if err != nil {
		return nil, err
	}
	return &Config{Web: web, Log: f.log, Target: target}, nil
}

// target returns the target of --kamailio.scrape-uri.
func (f *flags) target() (*Target, error) {
	uri, err := dial.ParseTarget(f.scrapeURI)
	if err != nil {
		return nil, wrong("kamailio.scrape-uri", err)
	}
	module, err := f.moduleConfig()
	if err != nil {
		return nil, err
	}
	if method := module.binrpcOnly(); method != "" && uri.Protocol == dial.JSONRPC {
		return nil, wrong("kamailio.methods", fmt.Errorf("%s is not answered over JSON-RPC, or only in part: use a socket of the Kamailio module ctl, or remove the method", method))
	}
	client, err := f.httpClient()
	if err != nil {
		return nil, wrong("kamailio.http-config.file", err)
	}
	target := &Target{URI: uri, Module: module, HTTP: client}
	if f.xhttpPromURL != "" {
		if target.XHTTPProm, err = xhttpprom.NewClient(f.xhttpPromURL, client); err != nil {
			return nil, wrong("kamailio.xhttp-prom-url", fmt.Errorf("%q: %w", cli.Redacted(f.xhttpPromURL), err))
		}
	}
	return target, nil
}

// moduleConfig returns the module with the settings of the flags.
func (f *flags) moduleConfig() (*Module, error) {
	module := &f.module
	module.Settings.NoLegacySeries = !f.legacySeries
	err := module.resolve()
	if e, ok := errors.AsType[*settingError](err); ok {
		return nil, wrong(flagOf(e.setting), e.err)
	}
	return module, err
}

// httpClient returns the client for http:// and https:// URIs.
func (f *flags) httpClient() (*http.Client, error) {
	settings := &promconfig.HTTPClientConfig{}
	if f.httpConfigFile != "" {
		var err error
		if settings, _, err = promconfig.LoadHTTPConfigFile(f.httpConfigFile); err != nil {
			return nil, fileError(f.httpConfigFile, err)
		}
	}
	return promconfig.NewClientFromConfig(*settings, "kamailio", promconfig.WithHTTP2Disabled())
}

// webConfig returns the configuration of the exporter's own pages.
func (f *flags) webConfig() (Web, error) {
	if err := toolkit.Validate(*f.web.Listen.WebConfigFile); err != nil {
		return Web{}, wrong("web.config.file", fileError(*f.web.Listen.WebConfigFile, err))
	}
	external, err := parseExternalURL(f.externalURL)
	if err != nil {
		return Web{}, wrong("web.external-url", fmt.Errorf("%q: %w", cli.Redacted(f.externalURL), err))
	}
	web := f.web
	if web.RoutePrefix, err = routePrefix(f.web.RoutePrefix, external); err != nil {
		flag := "web.route-prefix"
		if f.web.RoutePrefix == "" {
			flag = "web.external-url"
		}
		return Web{}, wrong(flag, err)
	}
	if err := checkPagePath(web.TelemetryPath); err != nil {
		return Web{}, wrong("web.telemetry-path", err)
	}
	web.ExporterMetrics = !f.disableExporterMetrics
	return web, nil
}

// wrong returns an error about a flag.
func wrong(flag string, err error) error { return fmt.Errorf("--%s: %w", flag, err) }

// yamlValue matches a value in an error of package yaml.
var yamlValue = regexp.MustCompile("`.*`")

// fileError returns the error of a configuration file with the name of the file and without values of the file, which may be
// passwords.
func fileError(file string, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return fmt.Errorf("%s: %s", file, yamlValue.ReplaceAllString(err.Error(), "a value"))
}
