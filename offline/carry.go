package offline

import (
	"context"
	"database/sql"
	"path/filepath"

	"gateagent/gate/wire"
)

// resume ends the replacement of a damaged database, whether that went through
// at once, was interrupted, or happened at start: a database in which nothing
// was stored yet takes over what was open, and the folder is looked through.
func (o *Outbox) resume(ctx context.Context) error {
	folders := damagedFolders(o.cfg.Dir)
	if len(folders) == 0 {
		return nil
	}
	if o.head.last == 0 && len(o.opened) == 0 {
		for _, folder := range folders {
			if o.carry == nil && !exists(folder, reportName) {
				o.carry = salvageFolder(ctx, o.cfg, folder)
			}
		}
		if err := o.carryOpen(ctx, o.carry); err != nil {
			_ = o.db.Close() // the next one tries again
			o.db = nil
			return err
		}
	}
	o.carry = nil
	o.startRescue()
	return nil
}

// salvageFolder reads what was open in a database that was set aside.
func salvageFolder(ctx context.Context, cfg Config, folder string) []wire.Record {
	if _, err := keepLog(folder); err != nil {
		return nil
	}
	db, err := openDamaged(filepath.Join(folder, dbName), cfg)
	if err != nil {
		return nil
	}
	defer db.Close()
	return salvageOpen(ctx, db)
}

// salvageOpen reads what it can of the open transactions of a damaged
// database.
func salvageOpen(ctx context.Context, db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}) []wire.Record {
	rows, err := db.QueryContext(ctx, `SELECT body FROM open_tx ORDER BY number`)
	if err != nil {
		return nil
	}
	defer rows.Close()
	var out []wire.Record
	for rows.Next() {
		var body []byte
		if rows.Scan(&body) != nil {
			break
		}
		if rec, err := wire.DecodeRecord(body); err == nil && rec.Kind == wire.KindDecision {
			out = append(out, *rec)
		}
	}
	return out
}

// carryOpen enters the open transactions of a damaged database into its
// successor, all or none. Their decisions stay in the old file.
func (o *Outbox) carryOpen(ctx context.Context, open []wire.Record) error {
	if len(open) == 0 {
		return nil
	}
	return o.db.transact(ctx, func() error {
		for i, rec := range open {
			step, err := o.planOpen(rec)
			if err != nil || step.tx == nil {
				continue // twice, or nothing that stays open
			}
			number := int64(i - len(open))
			if _, err := o.db.ExecContext(ctx, `INSERT INTO open_tx (number, tx, kind, body) VALUES (?, ?, ?, ?)`, number, step.tx, step.kind, step.body); err != nil {
				return err
			}
			o.settleOpen(step, number)
		}
		return nil
	})
}
