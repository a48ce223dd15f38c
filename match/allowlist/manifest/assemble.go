package manifest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// message is a PNL or ADL with all of its parts.
type message struct {
	parts map[int]*telegram
	sent  time.Time // of the first part; zero: unknown
	order int
}

// finishTelegrams puts the telegrams of every flight together and gives its
// travellers to the sink. Nothing is given before every flight is known to be
// complete.
func (r *Reader) finishTelegrams(ctx context.Context) error {
	var bad faults
	flights := make([]flight, 0, len(r.telegrams.order))
	for _, key := range r.telegrams.order {
		f := flight{key: key}
		f.assemble(r.telegrams.flights[key], &bad)
		flights = append(flights, f)
	}
	if err := bad.err(); err != nil {
		return err
	}
	for i := range flights {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := flights[i].emit(r); err != nil {
			return err
		}
		delete(r.telegrams.flights, flights[i].key) // memory for what comes behind
		flights[i] = flight{}
	}
	return nil
}

// flight is everything known about a flight.
type flight struct {
	key  flightKey
	pnl  message
	adls []*message // in the order in which they take effect
	on   []booked
	by   map[string][]booked // by name
}

// booked is a traveller with the name element that books the seat.
type booked struct {
	*person
	by *name
}

// assemble sorts telegrams into messages and looks for missing parts.
func (f *flight) assemble(all []*telegram, bad *faults) {
	f.pnl.parts = map[int]*telegram{}
	slices.SortStableFunc(all, func(a, b *telegram) int {
		return cmp.Or(f.dispatch(a).Compare(f.dispatch(b)), cmp.Compare(a.order, b.order))
	})
	for _, t := range all {
		if t.adl {
			f.adl(t)
			continue
		}
		if f.pnl.parts[t.part] != nil {
			bad.add("two different telegrams are %s: give the PNL that counts, and the ADLs behind it", t)
			continue
		}
		f.pnl.parts[t.part] = t
	}
	if len(f.pnl.parts) == 0 {
		bad.add("ADL %s: its PNL is missing: without it nobody knows who is on the flight", f.key)
		return
	}
	f.pnl.check("PNL", f.key, bad)
	for _, m := range f.adls {
		m.check("ADL", f.key, bad)
	}
}

// sameDispatch is how far apart parts of one ADL are sent at most.
const sameDispatch = 30 * time.Minute

// adl finds the ADL that a part belongs to: by association number; without one,
// the open ADL sent just before that lacks this part.
func (f *flight) adl(t *telegram) {
	sent := f.dispatch(t)
	for _, m := range slices.Backward(f.adls) {
		var any *telegram
		for _, any = range m.parts {
			break
		}
		if m.parts[t.part] != nil || any.ref != t.ref {
			continue
		}
		if t.ref != "" || sent.IsZero() || sent.Sub(m.sent) <= sameDispatch && !m.closedBefore(t.part) {
			m.parts[t.part] = t
			return
		}
	}
	f.adls = append(f.adls, &message{parts: map[int]*telegram{t.part: t}, sent: sent, order: t.order})
}

// closedBefore says that the message's last part has a lower number.
func (m *message) closedBefore(part int) bool {
	for n, t := range m.parts {
		if t.last && n < part {
			return true
		}
	}
	return false
}

// dispatch gives the moment at which a telegram was sent, from its day of the
// month: the last such day that is not after the day behind the flight's. Zero:
// unknown.
func (f *flight) dispatch(t *telegram) time.Time {
	if t.sent == "" {
		return time.Time{}
	}
	day, _ := strconv.Atoi(t.sent[:2])
	hour, _ := strconv.Atoi(t.sent[2:4])
	minute, _ := strconv.Atoi(t.sent[4:])
	for d := f.key.day.AddDate(0, 0, 1); d.After(f.key.day.AddDate(0, -2, 0)); d = d.AddDate(0, 0, -1) {
		if d.Day() == day {
			return d.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
		}
	}
	return time.Time{}
}

// check wants every part from 1 to the one that ends the message.
func (m *message) check(kind string, key flightKey, bad *faults) {
	highest, last := 0, 0
	for n, t := range m.parts {
		highest = max(highest, n)
		if t.last && (last == 0 || n < last) {
			last = n
		}
	}
	of := ""
	switch {
	case last == 0:
		bad.add("%s %s: the last part is missing: part %d ends with ENDPART%d, none with END%s", kind, key, highest, highest, kind)
	case highest > last:
		bad.add("%s %s: part %d ends it, and there is a part %d", kind, key, last, highest)
	default:
		of = fmt.Sprintf(" of %d", last)
	}
	for n := 1; n < highest; n++ {
		if m.parts[n] == nil {
			bad.add("%s %s: part %d%s is missing", kind, key, n, of)
		}
	}
}

// inOrder gives the parts of a complete message.
func (m *message) inOrder() []*telegram {
	parts := make([]*telegram, 0, len(m.parts))
	for n := 1; n <= len(m.parts); n++ {
		parts = append(parts, m.parts[n])
	}
	return parts
}

// emit applies the ADLs and gives the travellers.
func (f *flight) emit(r *Reader) error {
	f.by = map[string][]booked{}
	f.compareTotals(r)
	f.apply(r, &f.pnl)
	for _, m := range f.adls {
		f.apply(r, m)
	}
	d := departure{flight: f.key.flight, board: f.key.board, day: f.key.day}
	for _, b := range f.on {
		if b.deleted {
			continue
		}
		if err := r.emit(d, &b.traveller); err != nil {
			return err
		}
	}
	return nil
}

// apply takes the names of one message in their order.
func (f *flight) apply(r *Reader, m *message) {
	groups := map[string]string{}
	for _, t := range m.inOrder() {
		for _, n := range t.names {
			if n.group == "" {
				continue
			}
			if n.locator == "" {
				n.locator = groups[n.group] // one locator stands for the whole booking
			}
			groups[n.group] = n.locator
		}
	}
	for _, t := range m.inOrder() {
		for _, n := range t.names {
			for _, p := range n.people {
				f.take(r, n, p)
			}
		}
	}
}

// take puts one traveller on the flight or takes one off. Where a name fits
// several of one booking, all of them go: who should have stayed is referred.
func (f *flight) take(r *Reader, n *name, p *person) {
	b := booked{p, n}
	key := b.key()
	if n.section == deleted || n.section == changed && !p.infant {
		switch gone := f.remove(key, n); {
		case gone == 0:
			r.sink.Reject(p.at, "name", "of a deletion or change fits nobody on the flight")
			return
		case gone > 1:
			r.opt.Note(p.at, "a deletion or change fits "+strconv.Itoa(gone)+" travellers of one name; all of them are left out")
		}
	}
	if n.section != deleted {
		f.by[key] = append(f.by[key], b)
		f.on = append(f.on, b)
	}
}

// key is the name by which additions and deletions mean a traveller.
func (b *booked) key() string {
	if b.infant {
		return letters(b.surname) + "/" + letters(b.given)
	}
	return letters(b.by.surname) + "/" + letters(withoutTitle(b.title))
}

// remove takes whoever fits off the flight, and infants with the last of
// those they came with.
func (f *flight) remove(key string, n *name) (gone int) {
	f.by[key] = slices.DeleteFunc(f.by[key], func(old booked) bool {
		if old.deleted || old.by.locator != n.locator && old.by.locator != "" && n.locator != "" {
			return old.deleted
		}
		old.deleted = true
		gone++
		alone := !slices.ContainsFunc(old.by.people, func(p *person) bool { return !p.infant && !p.deleted })
		for _, p := range old.by.people {
			p.deleted = p.deleted || p.infant && alone
		}
		return true
	})
	return gone
}

// compareTotals tells where a PNL names more or fewer than its totals say.
// A part that continues a destination states its totals again.
func (f *flight) compareTotals(r *Reader) {
	type place struct{ to, class string }
	sums := map[place]*total{}
	var order []place
	for _, t := range f.pnl.inOrder() {
		for _, one := range t.totals {
			p := place{one.to, one.class}
			if sums[p] == nil {
				sums[p] = &total{seats: one.seats, at: one.at}
				order = append(order, p)
			}
			sums[p].named += one.named
		}
	}
	for _, p := range order {
		if s := sums[p]; s.named != s.seats {
			r.opt.Note(s.at, fmt.Sprintf("the PNL states %d seats to a destination in a class and names %d", s.seats, s.named))
		}
	}
}
