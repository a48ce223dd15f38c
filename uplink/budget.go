package uplink

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// Periods of a budget, in the kiosk's time zone.
const (
	PeriodDay   = "day"
	PeriodMonth = "month"
)

// errSpent ends a connection over a path whose budget is used up.
var errSpent = errors.New("the budget of the path is used up")

const (
	budgetFile    = "uplink-budget.json"
	budgetVersion = 1
	// budgetRoom is what has to be left for a path to be used: a batch that
	// is on its way, its answer, and the last word to central.
	budgetRoom = wire.MaxBatchBytes + wire.MaxStatusBytes + 32<<10
	// Bytes are written down before they are used, in leases: a crash makes
	// the kiosk count up to one lease that it did not use, never the other
	// way round.
	leaseParts = 1000
	minLease   = 64 << 10
)

// Stages of a budget: what is still sent besides results.
const (
	stagePlenty = iota
	stageLow    // less than a quarter is left
	stageScarce // less than a tenth is left
	stageSpent  // nothing is sent any more, results wait
)

// budgets are the counters of all metered paths, in one file.
type budgets struct {
	path string // empty: kept in memory alone
	log  *slog.Logger
	now  func() time.Time
	loc  *time.Location

	mu      sync.Mutex
	all     map[string]*budget
	problem string // guarded by mu; why the file cannot be used
}

// budget counts the bytes of one path in the current period.
type budget struct {
	owner  *budgets
	limit  int64
	period string

	start  time.Time // guarded by owner.mu, as the following; of the period
	used   int64
	leased int64 // written down as used

	// The newest period that ever was, and what was used since it began, which
	// is more than used while the clock is behind it: a clock that goes back
	// and comes right again must not give anything back.
	newest time.Time
	since  int64
}

// budgetEntry is what the file keeps of one path.
type budgetEntry struct {
	Start time.Time `json:"start"`
	Used  int64     `json:"used"`
	// Where the clock was ahead before, or is behind now; else the same.
	Newest time.Time `json:"newest"`
	Since  int64     `json:"since"`
}

type budgetState struct {
	V     int                    `json:"v"`
	Paths map[string]budgetEntry `json:"paths"`
}

// openBudgets reads what was used. A file that cannot be read is no reason to
// keep results from central: it is counted anew, and staff are told.
func openBudgets(dir string, loc *time.Location, now func() time.Time, log *slog.Logger) *budgets {
	b := &budgets{log: log, now: now, loc: loc, all: map[string]*budget{}}
	if dir != "" {
		b.path = filepath.Join(dir, budgetFile)
	}
	return b
}

func (b *budgets) read() (budgetState, error) {
	var s budgetState
	if b.path == "" {
		return s, nil
	}
	data, err := os.ReadFile(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err == nil && s.V != budgetVersion {
		err = fmt.Errorf("%s has version %d, this program reads version %d", b.path, s.V, budgetVersion)
	}
	if err != nil {
		return budgetState{}, err
	}
	return s, nil
}

// load takes over what the file says for the paths there are.
func (b *budgets) load() {
	if len(b.all) == 0 {
		return
	}
	s, err := b.read()
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.trouble(err)
	}
	for name, one := range b.all {
		e := s.Paths[name]
		one.start, one.used = e.Start, max(0, e.Used)
		one.leased = one.used
		one.newest, one.since = e.Newest, max(0, e.Since)
		if !one.newest.After(one.start) {
			one.newest, one.since = one.start, max(one.used, one.since)
		}
		one.roll()
	}
}

// trouble notes that the file cannot be used; b.mu is held.
func (b *budgets) trouble(err error) {
	if b.problem == "" {
		b.log.Error("the bytes used of metered paths are not kept", "err", err)
	}
	b.problem = err.Error()
}

// Problem says why what was used is not kept; empty when it is.
func (b *budgets) Problem() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.problem
}

// save writes down; b.mu is held. exact: what was used, not what is leased.
func (b *budgets) save(exact bool) {
	if b.path == "" {
		return
	}
	s := budgetState{V: budgetVersion, Paths: map[string]budgetEntry{}}
	for name, one := range b.all {
		if exact {
			one.leased = one.used
		}
		s.Paths[name] = budgetEntry{one.start, one.leased, one.newest, one.since + one.leased - one.used}
	}
	data, err := json.Marshal(s)
	if err == nil {
		err = durable.WriteFile(b.path, append(data, '\n'), 0o600)
	}
	if err != nil {
		b.trouble(err)
		return
	}
	b.problem = ""
}

// close writes down what was used, to the byte.
func (b *budgets) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.all) > 0 {
		b.save(true)
	}
}

func (b *budgets) add(name string, limit int64, period string) *budget {
	one := &budget{owner: b, limit: limit, period: period}
	b.all[name] = one
	return one
}

// begin is when the period around t began.
func (m *budget) begin(t time.Time) time.Time {
	t = t.In(m.owner.loc)
	day := t.Day()
	if m.period == PeriodMonth {
		day = 1
	}
	return time.Date(t.Year(), t.Month(), day, 0, 0, 0, 0, m.owner.loc)
}

func (m *budget) end() time.Time {
	if m.period == PeriodMonth {
		return m.start.AddDate(0, 1, 0)
	}
	return m.start.AddDate(0, 0, 1)
}

// roll begins a new period when it is time to. A clock that was set back
// takes nothing off what was used, nor does one that comes right after that.
// owner.mu is held.
func (m *budget) roll() {
	start := m.begin(m.owner.now())
	switch {
	case start.After(m.newest):
		m.newest, m.since = start, 0
		m.start, m.used, m.leased = start, 0, 0
	case start.Equal(m.newest) && !start.Equal(m.start):
		m.start, m.used, m.leased = start, m.since, m.since
	case start.After(m.start): // the newest one is the future of a clock that was ahead
		m.start, m.used, m.leased = start, 0, 0
	case start.Before(m.start):
		m.start = start
	}
}

// add counts bytes that were carried.
func (m *budget) add(n int64) {
	m.owner.mu.Lock()
	defer m.owner.mu.Unlock()
	m.roll()
	m.used, m.since = m.used+n, m.since+n
	if m.used > m.leased {
		m.leased = m.used + max(m.limit/leaseParts, minLease)
		m.owner.save(false)
	}
}

func (m *budget) left() int64 {
	left, _, _ := m.state()
	return left
}

// state gives what is left, when the period ends, and the stage.
func (m *budget) state() (left int64, until time.Time, stage int) {
	m.owner.mu.Lock()
	defer m.owner.mu.Unlock()
	m.roll()
	left = m.limit - m.used
	switch {
	case left < budgetRoom:
		stage = stageSpent
	case left < m.limit/10:
		stage = stageScarce
	case left < m.limit/4:
		stage = stageLow
	}
	return left, m.end(), stage
}
