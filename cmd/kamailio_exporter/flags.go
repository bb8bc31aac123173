package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/web"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/xhttpprom"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// methodAuto stands for all methods that the server has and that are cheap.
const methodAuto = "auto"

// flags are the command line's.
type flags struct {
	scrapeURI              string
	methods                []string
	timeout                time.Duration
	settings               collector.Settings
	httpConfigFile         string
	xhttpPromURL           string
	telemetryPath          string
	disableExporterMetrics bool
	web                    *toolkit.FlagConfig
	log                    promslog.Config
}

func parseFlags(args []string) *flags {
	app, f := newApp()
	if _, err := app.Parse(args); err != nil {
		app.Fatalf("%s, try --help", err)
	}
	return f
}

func newApp() (*kingpin.Application, *flags) {
	f := &flags{}
	app := kingpin.New("kamailio_exporter", "Prometheus exporter for the Kamailio SIP server.")
	app.HelpFlag.Short('h')
	app.Version(version.Print("kamailio_exporter"))
	app.UsageWriter(os.Stdout)
	f.web = kingpinflag.AddFlags(app, ":9494")
	app.GetFlag("web.listen-address").Short('l')
	app.Flag("web.telemetry-path", "Path under which to expose metrics.").
		Default("/metrics").StringVar(&f.telemetryPath)
	app.Flag("web.disable-exporter-metrics", "Leave out metrics about the exporter itself (go_*, process_*, promhttp_*).").
		BoolVar(&f.disableExporterMetrics)
	app.Flag("kamailio.scrape-uri", "URI of a socket of Kamailio's ctl module: unix:/path, unixd:/path for a datagram socket, tcp://host:port or udp://host:port; or of its jsonrpcs module: http://host:port/RPC, https://, jsonrpc+unixgram:/path, jsonrpc+udp:// or jsonrpc+tcp://host:port.").
		Short('u').Default("unix:/var/run/kamailio/kamailio_ctl").StringVar(&f.scrapeURI)
	app.Flag("kamailio.methods", "Comma-separated RPC methods to call; auto is every method that the server has and whose cost does not grow with the traffic. Known are "+
		describeMethods()+".").
		Short('m').Default(methodAuto).SetValue(named("kamailio.methods", (*commaList)(&f.methods)))
	app.Flag("kamailio.timeout", "The most that a scrape of Kamailio may take; Prometheus' own limit counts if it is shorter.").
		Short('t').Default("5s").SetValue(named("kamailio.timeout", (*seconds)(&f.timeout)))
	app.Flag("kamailio.max-series", "The most series that one method may give; what is beyond is left out, counted and logged. 0 means any number.").
		Default("100000").IntVar(&f.settings.MaxSeries)
	app.Flag("kamailio.short", "Comma-separated RPC methods that are to give their short form, which has fewer series. There is one for "+
		shortMethods()+".").
		SetValue(named("kamailio.short", (*commaList)(&f.settings.Short)))
	app.Flag("kamailio.stats-groups", "Comma-separated statistics that stats.fetch, if it is named in --kamailio.methods, also gives as kamailio_stats_fetch_value: "+
		"groups, full names such as script:my_calls, or all. Groups of your own are also those to name if Kamailio cannot send all statistics at once.").
		Default("script").SetValue(named("kamailio.stats-groups", (*commaList)(&f.settings.StatsGroups)))
	app.Flag("kamailio.dialog-profiles", "Comma-separated profiles of Kamailio's dialog module, as profile or profile:value, whose dialogs dlg.profile_get_size is to count.").
		SetValue(named("kamailio.dialog-profiles", &parsedList[collector.DialogProfile]{&f.settings.DialogProfiles, collector.ParseDialogProfile}))
	app.Flag("kamailio.htable-keys", "Comma-separated values in Kamailio's hash tables, as table=>key or table:key, that htable.get is to read.").
		SetValue(named("kamailio.htable-keys", &parsedList[collector.HtableKey]{&f.settings.HtableKeys, collector.ParseHtableKey}))
	app.Flag("kamailio.http-config.file", "Path of a file with the settings of an HTTP client for http:// and https:// URIs: tls_config, basic_auth and so on, as Prometheus' scrape configuration has them.").
		StringVar(&f.httpConfigFile)
	app.Flag("kamailio.xhttp-prom-url", "URL of the page of Kamailio's xhttp_prom module, for example http://127.0.0.1:5060/metrics, whose user-defined metrics are to be shown too.").
		StringVar(&f.xhttpPromURL)
	promslogflag.AddFlags(app, &f.log)
	return app, f
}

// target is what the flags say of the Kamailio to scrape. An error names the
// flag that is wrong.
func (f *flags) target(logger *slog.Logger) (*dial.Client, scrape.Options, error) {
	options := scrape.Options{Settings: f.settings, Logger: logger, Timeout: web.Budget(f.timeout)}
	wrong := func(flag string, err error) (*dial.Client, scrape.Options, error) {
		return nil, options, fmt.Errorf("--%s: %w", flag, err)
	}
	target, err := dial.ParseTarget(f.scrapeURI)
	if err != nil {
		return wrong("kamailio.scrape-uri", err)
	}
	options.URI = target.Redacted()
	options.JSONRPC = target.Protocol == dial.JSONRPC
	if f.timeout <= 0 {
		return wrong("kamailio.timeout", fmt.Errorf("%v is no time to wait, use for example 5s", f.timeout))
	}
	if options.Named, options.Auto, err = f.collectors(); err != nil {
		return wrong("kamailio.methods", err)
	}
	if options.JSONRPC {
		for _, c := range options.Named {
			if c.BINRPCOnly {
				return wrong("kamailio.methods", fmt.Errorf("%s is not answered over JSON-RPC, or not wholly: use a socket of ctl, or leave it out", c.Method))
			}
		}
	}
	options.Settings.Named = f.methods
	if f.settings.MaxSeries < 0 {
		return wrong("kamailio.max-series", fmt.Errorf("%d is no number of series, use 0 for any number", f.settings.MaxSeries))
	}
	if err := f.checkShort(); err != nil {
		return wrong("kamailio.short", err)
	}
	client, err := f.httpClient()
	if err != nil {
		return wrong("kamailio.http-config.file", err)
	}
	if options.UserMetrics, err = f.userMetrics(client); err != nil {
		return wrong("kamailio.xhttp-prom-url", err)
	}
	return dial.NewTarget(target, dial.Options{HTTP: client}), options, nil
}

// collectors are those of the methods that were named, and whether auto was.
func (f *flags) collectors() (named []*collector.Collector, auto bool, err error) {
	methods := slices.DeleteFunc(slices.Clone(f.methods), func(method string) bool { return method == methodAuto })
	if named, err = collector.Select(methods); err != nil {
		return nil, false, err
	}
	for _, c := range named {
		if c.Flag != "" && len(c.Calls(f.settings)) == 0 {
			return nil, false, fmt.Errorf("%s needs --%s too, to know what to ask for", c.Method, strings.TrimPrefix(c.Flag, "--"))
		}
	}
	// Whoever sets a method's own flag wants to hear if it fails.
	for _, c := range collector.All {
		if c.Flag != "" && len(c.Calls(f.settings)) > 0 && !slices.Contains(named, c) {
			named = append(named, c)
		}
	}
	return named, len(methods) < len(f.methods), nil
}

// checkShort returns an error for a method that has no short form.
func (f *flags) checkShort() error {
	for _, method := range f.settings.Short {
		if !slices.ContainsFunc(collector.All, func(c *collector.Collector) bool { return c.Short && c.Method == method }) {
			return fmt.Errorf("%q has no short form, there is one for %s", method, shortMethods())
		}
	}
	return nil
}

// userMetrics is the client for the routing script's own metrics, nil if there
// are none to be had.
func (f *flags) userMetrics(client *http.Client) (*xhttpprom.Client, error) {
	if f.xhttpPromURL == "" {
		return nil, nil //nolint:nilnil // not to have any is the usual case
	}
	return xhttpprom.NewClient(f.xhttpPromURL, client)
}

// httpClient is for http and https URIs.
func (f *flags) httpClient() (*http.Client, error) {
	settings := &config.HTTPClientConfig{}
	if f.httpConfigFile != "" {
		var err error
		if settings, _, err = config.LoadHTTPConfigFile(f.httpConfigFile); err != nil {
			return nil, fmt.Errorf("%s: %w", f.httpConfigFile, err)
		}
	}
	return config.NewClientFromConfig(*settings, "kamailio", config.WithHTTP2Disabled())
}

// describeMethods is a list of the methods for the help, with a star where auto
// does not use one.
func describeMethods() string {
	var all []string
	for _, c := range collector.All {
		text := c.Method + " (" + c.Help + ")"
		if !c.Auto {
			text = c.Method + " (not in auto: " + c.Help + ")"
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// shortMethods are the methods that have a short form.
func shortMethods() string {
	var names []string
	for _, c := range collector.All {
		if c.Short {
			names = append(names, c.Method)
		}
	}
	return strings.Join(names, ", ")
}
