package chip

import (
	"bytes"
	"context"

	"gateagent/gate"
)

// ranged sends the first of some commands that ask for less and less, and the
// next one when the chip refuses the length (6700 or 6Cxx). It says whether
// anything was refused. A read that the chip stumbles over (6Fxx) is tried once
// more. After a new access again selects the file anew.
func (s *Session) ranged(ctx context.Context, step string, tries []command, again func() error) (r response, refused bool, err error) {
	for i, hinted, stumbled := 0, false, false; i < len(tries); {
		var before []byte
		if s.sm != nil {
			before = bytes.Clone(s.sm.ssc)
		}
		lost := false
		if r, lost, err = s.protected(ctx, step, tries[i]); err != nil {
			return r, refused, err
		}
		switch {
		case lost && stumbles(r.sw):
			r, err = s.renew(ctx, step, tries[i], r.sw, again)
			return r, refused, err
		case stumbles(r.sw) && tries[i].reads() && !stumbled:
			stumbled = true
			continue
		}
		if lost {
			refused = true
			if r, i, err = s.resume(ctx, step, tries, i, before, again); err != nil {
				return r, refused, err
			}
		}
		if !lengthRefused(r.sw) {
			if r.readable() && s.sm.extended(tries[i]) {
				s.reads.extended = true
			}
			return r, refused, nil
		}
		refused = true
		if ne := int(r.sw & 0xFF); r.sw>>8 == 0x6C && ne > 0 && ne < tries[i].ne && !hinted {
			hinted = true
			tries[i].ne = ne
			continue
		}
		i++
	}
	return r, refused, nil
}

// resume goes on with smaller commands after try i was refused outside secure
// messaging. Whether the chip counted the refused command is unknown: it may
// not have seen a protected command at all, have counted command and answer,
// or the command alone. Where it has closed the session, access runs again,
// once, and no long command is tried any more. Anything else ends the session.
func (s *Session) resume(ctx context.Context, step string, tries []command, i int, before []byte, again func() error) (response, int, error) {
	next := i + 1
	if s.sm.extended(tries[i]) && !s.reads.extended {
		s.reads.noExtended()
		next = s.nextShort(tries, i)
	}
	var sw uint16
	for _, counted := range []int{0, 2, 1} {
		for next < len(tries) {
			copy(s.sm.ssc, before)
			for range counted {
				s.sm.count()
			}
			r, err := s.transmit(ctx, step, s.sm.wrap(tries[next]))
			if err != nil {
				return r, next, err
			}
			if len(r.data) > 0 {
				open, err := s.sm.unwrap(r)
				if err != nil {
					return r, next, s.die(fault(gate.ChipNonsense, gate.CodeSecureMessaging, step, 0, err))
				}
				return open, next, nil
			}
			sw = r.sw
			if !lengthRefused(sw) || next+1 == len(tries) {
				break
			}
			next++
		}
	}
	if next = s.nextShort(tries, i); next == len(tries) {
		return response{}, i, s.die(fault(gate.ChipNonsense, gate.CodeSecureMessaging, step, sw, errUnprotected))
	}
	s.reads.loses(tries[i].ne)
	r, err := s.renew(ctx, step, tries[next], sw, again)
	return r, next, err
}

// renew runs the access again, once, after a session that was lost, and sends
// the command in the new one.
func (s *Session) renew(ctx context.Context, step string, c command, sw uint16, again func() error) (response, error) {
	if s.reads.reopened >= maxReopened {
		return response{}, s.die(fault(gate.ChipNonsense, gate.CodeSecureMessaging, step, sw, errUnprotected))
	}
	if err := s.reopen(ctx, step); err != nil {
		return response{}, err
	}
	if again != nil {
		if err := again(); err != nil {
			return response{}, err
		}
	}
	return s.must(ctx, step, c)
}

// nextShort finds the next try that needs no extended length.
func (s *Session) nextShort(tries []command, i int) int {
	for i++; i < len(tries) && tries[i].ne > maxProtectedShort && !tries[i].short; i++ {
	}
	return i
}
