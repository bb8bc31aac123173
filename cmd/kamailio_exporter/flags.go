package main

import (
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/kamailio-exporter/kamailio_exporter/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/internal/xhttpprom"
)

// methodAuto stands for all methods that the server has and that are cheap.
const methodAuto = "auto"

// flags are the command line's.
type flags struct {
	scrapeURI              string
	methods                []string
	timeout                time.Duration
	settings               collector.Settings
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
	app.Flag("kamailio.scrape-uri", "URI of a socket of Kamailio's ctl module: unix:/path, unixd:/path for a datagram socket, tcp://host:port or udp://host:port.").
		Short('u').Default("unix:/var/run/kamailio/kamailio_ctl").StringVar(&f.scrapeURI)
	app.Flag("kamailio.methods", "Comma-separated RPC methods to call; auto is every method that the server has and whose cost does not grow with the traffic. Known are "+
		describeMethods()+".").
		Short('m').Default(methodAuto).SetValue((*commaList)(&f.methods))
	app.Flag("kamailio.timeout", "The most that a scrape of Kamailio may take; Prometheus' own limit counts if it is shorter.").
		Short('t').Default("5s").DurationVar(&f.timeout)
	app.Flag("kamailio.max-series", "The most series that one method may give; what is beyond is left out, counted and logged. 0 means any number.").
		Default("0").IntVar(&f.settings.MaxSeries)
	app.Flag("kamailio.short", "Comma-separated RPC methods that are to give their short form, which has fewer series. There is one for "+
		shortMethods()+".").
		SetValue((*commaList)(&f.settings.Short))
	app.Flag("kamailio.xhttp-prom-url", "URL of the page of Kamailio's xhttp_prom module, for example http://127.0.0.1:5060/metrics, whose user-defined metrics are to be shown too.").
		StringVar(&f.xhttpPromURL)
	promslogflag.AddFlags(app, &f.log)
	return app, f
}

// collectors are those of the methods that were named, and whether auto was.
func (f *flags) collectors() (named []*collector.Collector, auto bool, err error) {
	methods := slices.DeleteFunc(slices.Clone(f.methods), func(method string) bool { return method == methodAuto })
	named, err = collector.Select(methods)
	return named, len(methods) < len(f.methods), err
}

// userMetrics is the client for the routing script's own metrics, nil if there
// are none to be had.
func (f *flags) userMetrics() (*xhttpprom.Client, error) {
	if f.xhttpPromURL == "" {
		return nil, nil //nolint:nilnil // not to have any is the usual case
	}
	return xhttpprom.NewClient(f.xhttpPromURL)
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
