// Package budget counts the bytes and values of the replies of one batch.
package budget

import (
	"context"
	"sync"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Budget is the number of bytes and values that the further replies of a batch may
// have. It may be used concurrently.
type Budget struct {
	limits rpc.Limits

	mu           sync.Mutex
	size, values int // remaining
}

// New returns an unused budget. The limits must be those that
// [rpc.Limits.WithDefaults] returns.
func New(limits rpc.Limits) *Budget {
	return &Budget{limits: limits, size: limits.TotalSize, values: limits.TotalValues}
}

type key struct{}

// With returns a context whose batches share the budget b.
func With(ctx context.Context, b *Budget) context.Context {
	return context.WithValue(ctx, key{}, b)
}

// Of returns the budget of ctx, or an unused one if ctx has none. The limits must be
// those that [rpc.Limits.WithDefaults] returns.
func Of(ctx context.Context, limits rpc.Limits) *Budget {
	if b, ok := ctx.Value(key{}).(*Budget); ok {
		return b
	}
	return New(limits)
}

// Next returns the maximum size of the next reply.
func (b *Budget) Next() Allowance {
	b.mu.Lock()
	defer b.mu.Unlock()
	return allow(b.limits, b.size, b.values)
}

// Spend subtracts the bytes and values of a reply. The rest is never negative.
func (b *Budget) Spend(size, values int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.size, b.values = max(b.size-size, 0), max(b.values-values, 0)
}

// Allowance is the maximum size of one reply.
type Allowance struct {
	// Size is the number of bytes, Values the number of values, and Depth the nesting
	// depth of structs and arrays.
	Size, Values, Depth int

	limits rpc.Limits
}

// ForOne returns the maximum size of the only reply of a batch. The limits must be
// those that [rpc.Limits.WithDefaults] returns.
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

// Limits returns the limits from which the allowance was computed.
func (a *Allowance) Limits() rpc.Limits { return a.limits }

// SizeError returns the error of a reply with more than Size bytes.
func (a *Allowance) SizeError() error {
	return limitError("bytes", a.Size, a.limits.Size, a.limits.TotalSize)
}

// ValuesError returns the error of a reply with more than Values values.
func (a *Allowance) ValuesError() error {
	return limitError("values", a.Values, a.limits.Values, a.limits.TotalValues)
}

// DepthError returns the error of a reply that is nested deeper than Depth.
func (a *Allowance) DepthError() error {
	return &rpc.LimitError{What: "nested structs and arrays", Limit: a.Depth}
}

// limitError names the limit of one reply if it is the one that was exceeded,
// otherwise the limit of the batch.
func limitError(what string, allowed, one, total int) error {
	if allowed == one {
		return &rpc.LimitError{What: what, Limit: one}
	}
	return &rpc.LimitError{What: what + " in all replies of a batch", Limit: total}
}
