package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"gateagent/gate/wire"
)

// ownSealKey reads the key that a kiosk without central seals to, if there is
// one.
func (b *builder) ownSealKey() error {
	path := b.c.Record.SealKey
	if path == "" {
		b.log.Warn("results lie in clear on this disk: there is no central and no record.seal_key")
		return nil
	}
	text, err := os.ReadFile(path)
	if err == nil {
		b.sealTo, err = wire.ParseSealKeyText(string(text))
	}
	if err != nil {
		return fmt.Errorf("record.seal_key: %s: %w", path, err)
	}
	return nil
}

// expireEvery is how often results are looked for whose time is over.
const expireEvery = time.Hour

// expire deletes results whose time is over, by a trusted clock alone.
func (b *builder) expire(ctx context.Context) error {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		if now, trusted := b.clock.Now(); trusted {
			n, err := b.box.Expire(ctx, now)
			if err != nil && ctx.Err() == nil {
				b.log.Warn("results whose time is over could not be deleted; tried again in an hour", "err", err)
			}
			if n > 0 {
				b.log.Info("results whose time was over were deleted; their hashes stay", "results", n)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
