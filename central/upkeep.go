package central

import (
	"context"
	"time"

	"gateagent/central/intake"
)

// lookKeys is how often the folder is looked at for a key that opens results.
const lookKeys = 2 * time.Second

// reopen tries results that could not be opened once more: at the start, and
// whenever a key was laid into the CA's folder or exchanged there. From then on
// results that arrive are opened with it, too.
func (s *Service) reopen(ctx context.Context) error {
	tick := time.NewTicker(lookKeys)
	defer tick.Stop()
	for tried := ""; ; {
		mark, err := s.reg.CA.OpenKeysMark()
		if err == nil && mark != tried {
			err = s.reopenAll(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.log.Error("results that could not be opened were not tried again; tried again soon", "err", err)
		default:
			tried = mark
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *Service) reopenAll(ctx context.Context) error {
	open, err := s.reg.CA.FreshOpener()
	if err != nil {
		return err
	}
	s.ingest.open.Store(open)
	done, still, err := intake.Retry(ctx, s.reg.Store, open)
	if done+still > 0 {
		s.log.Warn("results that could not be opened when they came were tried again", "opened", done, "still_sealed", still)
	}
	return err
}

// expireEvery is how often results are looked for whose time is over.
const expireEvery = time.Hour

// expire deletes what results say whose time is over, while this machine's
// clock is right: a clock that jumps ahead must delete nothing.
func (s *Service) expire(ctx context.Context) error {
	own := ownClock(s.conf.AssumeClock)
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		if now, right := own.Now(); right {
			n, err := s.reg.Store.Expire(ctx, now)
			if err != nil && ctx.Err() == nil {
				s.log.Error("results whose time is over could not be deleted; tried again in an hour", "err", err)
			}
			if n > 0 {
				s.log.Info("results whose time was over were deleted; their hashes stay", "results", n)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
