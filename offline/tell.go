package offline

import (
	"fmt"
	"strings"
)

// aftermath sums up what is to be told of the databases that were set aside.
type aftermath struct {
	folder                         string // the newest that is not settled, or the newest
	problem, later, endUnknown     bool
	stranded, unreadable, doubtful uint64
	waiting                        uint64
	why                            string // of later
}

// noteRescued tells staff of the databases that were set aside, as long as
// their folders are there: a fault while results wait or are missing.
func (o *Outbox) noteRescued() {
	o.asides.telling.Lock()
	defer o.asides.telling.Unlock()
	folders := damagedFolders(o.cfg.Dir)
	if len(folders) == 0 {
		o.note("database", "", "")
		return
	}
	a := aftermath{folder: folders[len(folders)-1]}
	for _, folder := range folders {
		o.sumUp(&a, folder)
	}
	for _, old := range o.olderEpochs() {
		a.waiting += uint64(old.Depth())
	}
	level, text := a.text()
	o.note("database", level, fmt.Sprintf("the outbox was damaged and is set aside as %s: %s", a.folder, text))
}

func (o *Outbox) sumUp(a *aftermath, folder string) {
	o.mu.Lock()
	why := o.asides.later[folder]
	o.mu.Unlock()
	rep, err := readReport(folder)
	if err != nil || why != "" {
		a.later, a.folder, a.why = true, folder, why
	}
	if err != nil {
		return
	}
	if rep.missing() {
		a.folder = folder
	}
	a.problem, a.endUnknown = a.problem || rep.Problem != "", a.endUnknown || rep.EndUnknown
	a.stranded, a.unreadable, a.doubtful = a.stranded+rep.Stranded, a.unreadable+rep.Unreadable, a.doubtful+rep.Doubtful
}

func (a *aftermath) text() (level, text string) {
	var parts []string
	add := func(when bool, format string, args ...any) {
		if when {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(a.problem, "nothing in it can be read: restore it from there by hand")
	add(a.later && a.why == "", "it is being looked through")
	add(a.later && a.why != "", "what it holds cannot be sent yet, which is tried again (%s)", a.why)
	add(a.stranded+a.unreadable > 0, "%d results cannot be read and %d lie behind them", a.unreadable, a.stranded)
	add(a.endUnknown, "how many came at its end cannot be read")
	add(a.doubtful > 0, "whether central has the first %d results cannot be read there: compare at central", a.doubtful)
	switch {
	case len(parts) > 0:
		add(true, "%d saved ones wait for central; remove the folder when that is settled", a.waiting)
	case a.waiting > 0:
		add(true, "all its results are saved, %d wait for central", a.waiting)
	default:
		return "warning", "central has all its results; check the disk and remove the folder"
	}
	return "fault", strings.Join(parts, "; ")
}
