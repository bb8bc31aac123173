package metric

import (
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Gather implements prometheus.Gatherer. It returns all families of the Set, and a nil
// error.
func (s *Set) Gather() ([]*dto.MetricFamily, error) {
	families := make([]*dto.MetricFamily, 0, len(s.order))
	for _, family := range s.Families() {
		created := (*timestamppb.Timestamp)(nil)
		if family.collector != "" && !s.created.IsZero() {
			created = timestamppb.New(s.created)
		}
		families = append(families, family.gather(created))
	}
	return append(families, s.merged...), nil
}

// Merged returns the families that Merge added.
func (s *Set) Merged() []*dto.MetricFamily { return s.merged }

// Merge adds a whole family as it is. No other family of the Set may have its name.
func (s *Set) Merge(family *dto.MetricFamily) { s.merged = append(s.merged, family) }

func (f *Family) gather(created *timestamppb.Timestamp) *dto.MetricFamily {
	metrics := make([]*dto.Metric, f.Len())
	for i := range metrics {
		value, labels := f.Sample(i)
		metrics[i] = f.Desc.metric(value, labels, created)
	}
	typ := dto.MetricType_GAUGE
	if f.Desc.Type == Counter {
		typ = dto.MetricType_COUNTER
	}
	return &dto.MetricFamily{
		Name:   proto.String(f.Desc.Name),
		Help:   proto.String(f.Desc.Help),
		Type:   &typ,
		Metric: metrics,
	}
}

func (d *Desc) metric(value float64, labels []string, created *timestamppb.Timestamp) *dto.Metric {
	pairs := make([]*dto.LabelPair, len(labels))
	for i := range labels {
		pairs[i] = &dto.LabelPair{Name: &d.Labels[i], Value: &labels[i]}
	}
	if d.Type == Counter {
		return &dto.Metric{Label: pairs, Counter: &dto.Counter{Value: &value, CreatedTimestamp: created}}
	}
	return &dto.Metric{Label: pairs, Gauge: &dto.Gauge{Value: &value}}
}
