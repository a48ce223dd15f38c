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
