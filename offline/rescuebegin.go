package offline

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"gateagent/gate/wire"
)

// begin finds out where the damaged database stands. Damage as an error says
// that nothing can be read.
func (r *rescuer) begin(ctx context.Context) error {
	badLog, err := keepLog(r.folder)
	if err != nil {
		return err
	}
	if r.from, err = openDamaged(filepath.Join(r.folder, dbName), r.cfg); err != nil {
		return err
	}
	if r.nothingStored(ctx) && !badLog {
		return nil
	}
	if err := r.acknowledged(ctx); err != nil {
		return err
	}
	if err := r.end(ctx, badLog); err != nil {
		return err
	}
	r.settleEpoch(ctx)
	if wire.CheckEpoch(r.rep.Epoch) != nil {
		return damage("its epoch cannot be read")
	}
	if r.unsure || r.rep.Acknowledged > r.rep.Last {
		r.startAtFirst(ctx)
	}
	if r.rep.Acknowledged == 0 {
		r.chain = wire.ChainStart()
	} else if _, _, chain, err := r.row(ctx, r.rep.Acknowledged); err == nil {
		r.chain = chain
	}
	return nil
}

// nothingStored says whether no result was ever given to the database.
func (r *rescuer) nothingStored(ctx context.Context) bool {
	var rows, seq int
	err := r.from.QueryRowContext(ctx, `SELECT count(*) FROM result`).Scan(&rows)
	if err == nil {
		err = r.from.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_sequence WHERE name = 'result'`).Scan(&seq)
	}
	return err == nil && rows+seq == 0
}

// acknowledged reads epoch and acknowledged number. The number stands in two
// tables, and the newest row of acked has that of meta: where they differ, or
// neither can be read, the lower one is all that is known.
func (r *rescuer) acknowledged(ctx context.Context) error {
	var kiosk string
	err := r.from.QueryRowContext(ctx, `SELECT kiosk, epoch, acked FROM meta WHERE id = 1`).Scan(&kiosk, &r.rep.Epoch, &r.rep.Acknowledged)
	inMeta := err == nil
	if !inMeta {
		scan := r.scanned(ctx)
		if scan == nil || len(scan.numbers()) == 0 {
			return damage("neither its epoch nor any result can be read")
		}
		r.rep.Epoch, r.rep.Acknowledged = scan.epoch, scan.acked
		inMeta = scan.epoch != ""
	}
	var most uint64
	inSteps := r.from.QueryRowContext(ctx, `SELECT coalesce(max(number), 0) FROM acked`).Scan(&most) == nil
	if scan := r.scan; !inSteps && scan != nil && scan.steps > 0 {
		most, inSteps = scan.stepped, true
	}
	switch {
	case inMeta && inSteps:
		r.unsure = most != r.rep.Acknowledged
		r.rep.Acknowledged = min(most, r.rep.Acknowledged)
	case inSteps:
		r.rep.Acknowledged = most
	case !inMeta:
		r.unsure = true
	}
	return nil
}

// end finds the newest number.
func (r *rescuer) end(ctx context.Context, badLog bool) error {
	var seq, newest uint64
	err := r.from.QueryRowContext(ctx, `SELECT seq FROM sqlite_sequence WHERE name = 'result'`).Scan(&seq)
	known := err == nil || errors.Is(err, sql.ErrNoRows)
	_ = r.from.QueryRowContext(ctx, `SELECT coalesce(max(number), 0) FROM result`).Scan(&newest) // either may be damaged alone
	if badLog || seq == 0 || newest == 0 || r.tooMany(ctx, seq) {
		if scan := r.scanned(ctx); scan != nil {
			for n := range scan.rows {
				newest = max(newest, n)
			}
			if !known && scan.seq > 0 {
				seq, known = scan.seq, true
			}
		}
	}
	if r.tooMany(ctx, seq) {
		seq, known = 0, false
	}
	if r.tooMany(ctx, newest) {
		newest = 0
	}
	r.rep.Last, r.rep.EndUnknown = max(seq, newest), !known
	if r.rep.Last == 0 {
		return damage("how many results it holds cannot be read")
	}
	return nil
}

// startAtFirst has all sent from the first result that is proven on: central
// drops what it has.
func (r *rescuer) startAtFirst(ctx context.Context) {
	known := r.rep.Acknowledged
	if known > r.rep.Last {
		known = 0
	}
	r.rep.Acknowledged = known
	scan := r.scanned(ctx)
	if scan == nil {
		return
	}
	for _, n := range scan.numbers() {
		if _, _, _, err := r.row(ctx, n); err == nil {
			r.rep.Acknowledged, r.rep.Doubtful = n-1, n-1-min(known, n-1)
			return
		}
	}
}

// settleEpoch chooses among what the database and the file beside it call its
// epoch: the chain of a result proves one of them.
func (r *rescuer) settleEpoch(ctx context.Context) {
	text, err := os.ReadFile(filepath.Join(r.folder, epochName))
	other := strings.TrimSpace(string(text))
	if err != nil || wire.CheckEpoch(other) != nil || other == r.rep.Epoch {
		return
	}
	own := r.rep.Epoch
	for n := r.rep.Last; n > 0 && n+1000 > r.rep.Last; n-- {
		r.rep.Epoch = own
		if _, _, _, err := r.row(ctx, n); err == nil {
			return
		}
		r.rep.Epoch = other
		if _, _, _, err := r.row(ctx, n); err == nil {
			return
		}
	}
	r.rep.Epoch = own
}

// tooMany says that a number cannot be: the files are too small for so many
// results from the first that they hold.
func (r *rescuer) tooMany(ctx context.Context, last uint64) bool {
	const leastRow = 3*wire.HashSize + 20
	var size int64
	for _, name := range []string{dbName, dbName + "-wal", keptLogName} {
		if info, err := os.Stat(filepath.Join(r.folder, name)); err == nil {
			size += info.Size()
		}
	}
	from := r.rep.Acknowledged
	if last > from && last-from > uint64(size/leastRow) {
		if scan := r.scanned(ctx); scan != nil && len(scan.numbers()) > 0 {
			from = max(from, scan.numbers()[0]-1)
		}
	}
	return last > from && last-from > uint64(size/leastRow)
}

// scanned gives what the pages hold, looked through once; nil when they cannot
// be read.
func (r *rescuer) scanned(ctx context.Context) *pageScan {
	if r.scan == nil && !r.noScan {
		scan, err := scanPages(ctx, r.folder)
		if err != nil {
			r.noScan = true
			return nil
		}
		r.scan = scan
	}
	return r.scan
}
