package allowlist

import (
	"context"
	"io"
)

// Merge makes the table of the next version out of the old one and a delta.
func Merge(ctx context.Context, old *Table, delta io.Reader, next Statement, to string) error {
	return ErrBase
}

// DeltaSummary describes a delta.
type DeltaSummary struct {
	Added, Changed, Removed, Sets, Bytes uint64
}

// Diff writes the delta that makes next out of old.
func Diff(ctx context.Context, old, next *Table, w io.Writer) (DeltaSummary, error) {
	return DeltaSummary{}, ErrBase
}
