package intake

import (
	"context"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

// retryStep bounds the results that are opened in one transaction, so that those
// which arrive meanwhile do not wait for long.
const retryStep = 200

// Retry opens stored results that could not be opened when they came, with the
// keys that there are now. still counts those that cannot be opened yet; they
// stay as they came. It may be repeated and interrupted at any moment.
func Retry(ctx context.Context, st *store.Store, open *wire.Opener) (done, still int, err error) {
	for after := int64(0); ; {
		some, err := st.Unopened(ctx, after, retryStep)
		if err != nil || len(some) == 0 {
			return done, still, err
		}
		found := map[int64]store.Facts{}
		for i := range some {
			u := &some[i]
			after = u.ID
			// Proven anew: it may have lain here for long.
			if f := opened(open, u.Kiosk, u.Epoch, &u.Entry); u.Entry.BodyFits() && !f.Unreadable {
				found[u.ID] = f
			} else {
				still++
			}
		}
		if len(found) == 0 {
			continue
		}
		if err := st.Opened(ctx, found); err != nil {
			return done, still, err
		}
		done += len(found)
	}
}
