package collector

import (
	"context"
	"errors"
	"fmt"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector/custom"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// CustomPrefix is the prefix of the names of collectors of users' own metrics. No RPC
// method begins with it.
const CustomPrefix = "custom:"

// NewCustom returns the collector of a user's own metrics.
func NewCustom(entry *custom.Entry) *Collector {
	return &Collector{
		Method:  CustomPrefix + entry.Name,
		Help:    "the metrics of " + entry.Name + " in custom_metrics of the configuration file",
		Large:   true,
		Metrics: entry.Descs(),
		calls:   func(Settings) []rpc.Call { return []rpc.Call{entry.Call} },
		entry:   entry,
	}
}

// Equal reports whether the collectors are the same, or have the same metrics of a user.
func (c *Collector) Equal(other *Collector) bool {
	return c == other || c.entry != nil && other.entry != nil && c.entry.Equal(other.entry)
}

// IsCustom reports whether the collector has a user's own metrics. Its replies need
// Prepare.
func (c *Collector) IsCustom() bool { return c.entry != nil }

// Prepared has the samples of a user's own metrics.
type Prepared struct {
	rows *custom.Rows // may be nil
	err  error
}

// Prepare evaluates the expressions of a collector that IsCustom. It ends when ctx is done.
func (c *Collector) Prepare(ctx context.Context, reply Reply) (prepared *Prepared) {
	defer func() {
		if broken := recover(); broken != nil {
			prepared = &Prepared{err: fmt.Errorf("an expression of custom metrics %s broke, please report it: %v", c.entry.Name, broken)}
		}
	}()
	if reply.Err != nil {
		return &Prepared{err: reply.Err}
	}
	rows, err := c.entry.Evaluate(ctx, reply.Value)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: make them simpler, or raise the timeout", errSlowExpression)
	}
	return &Prepared{rows, err}
}

// errSlowExpression is the error of expressions that the end of the poll stopped. It is not that of the context, which means
// that Kamailio did not reply in time.
var errSlowExpression = errors.New("the jq expressions did not end in time")

// Add adds the samples to set. It returns the error of the reply or of the expressions.
func (p *Prepared) Add(set *metric.Set, settings Settings, c *Collector) error {
	if p.rows != nil {
		p.rows.AddTo(set.Writer(c.Method, settings.MaxSeries))
	}
	return p.err
}
