// Package budget counts what the replies of one batch cost.
package budget

import (
	"context"
	"sync"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Budget is what the replies of one batch may still cost. It may be used
// concurrently.
type Budget struct {
	limits rpc.Limits

	mu           sync.Mutex
	size, values int // that are left
}

// New returns a whole budget. The limits must have their defaults.
func New(limits rpc.Limits) *Budget {
	return &Budget{limits: limits, size: limits.TotalSize, values: limits.TotalValues}
}

type key struct{}

// With returns a context whose batches share a budget.
func With(ctx context.Context, b *Budget) context.Context {
	return context.WithValue(ctx, key{}, b)
}

// Of returns the budget that ctx has, or a whole one.
func Of(ctx context.Context, limits rpc.Limits) *Budget {
	if b, ok := ctx.Value(key{}).(*Budget); ok {
		return b
	}
	return New(limits)
}

// Next returns what the next reply may cost.
func (b *Budget) Next() Allowance {
	b.mu.Lock()
	defer b.mu.Unlock()
	return allow(b.limits, b.size, b.values)
}

// Spend takes what a reply cost.
func (b *Budget) Spend(size, values int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.size, b.values = max(b.size-size, 0), max(b.values-values, 0)
}

// Allowance is what one reply may cost.
type Allowance struct {
	// Size is the number of bytes, Values the number of values, Depth how deep they
	// may be nested.
	Size, Values, Depth int

	limits rpc.Limits
}

// ForOne is what the only reply of a batch may cost. The limits must have their
// defaults.
func ForOne(limits rpc.Limits) Allowance {
	return allow(limits, limits.TotalSize, limits.TotalValues)
}

func allow(limits rpc.Limits, size, values int) Allowance {
	return Allowance{
		Size:   min(limits.Size, size),
		Values: min(limits.Values, values),
		Depth:  limits.Depth,
		limits: limits,
	}
}

// Limits returns the limits that the allowance is within.
func (a *Allowance) Limits() rpc.Limits { return a.limits }

// SizeError says that a reply has more than Size bytes.
func (a *Allowance) SizeError() error {
	return limitError("bytes", a.Size, a.limits.Size, a.limits.TotalSize)
}

// ValuesError says that a reply has more than Values values.
func (a *Allowance) ValuesError() error {
	return limitError("values", a.Values, a.limits.Values, a.limits.TotalValues)
}

// DepthError says that a reply is nested deeper than Depth.
func (a *Allowance) DepthError() error {
	return &rpc.LimitError{What: "structs and arrays inside each other", Limit: a.Depth}
}

// limitError names the limit of one reply if that is all that is allowed, else
// that of the batch.
func limitError(what string, allowed, one, total int) error {
	if allowed == one {
		return &rpc.LimitError{What: what, Limit: one}
	}
	return &rpc.LimitError{What: what + " in all replies of a batch", Limit: total}
}
