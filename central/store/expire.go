package store

import (
	"context"
	"database/sql"
	"time"

	"gateagent/gate/wire"
)

// expireStep bounds the bodies that one transaction deletes.
const expireStep = 1000

// Expire deletes what results say whose time is over, and gives their number.
// Hashes, kind and outcome stay: the chain still verifies and counts hold.
func (s *Store) Expire(ctx context.Context, now time.Time) (int64, error) {
	var all int64
	for {
		res, err := s.write.ExecContext(ctx, `UPDATE results SET body = x'', record = NULL, tx = NULL, delete_at = NULL
			WHERE id IN (SELECT id FROM results WHERE delete_at <= ? LIMIT ?)`, ms(now), expireStep)
		if err != nil {
			return all, err
		}
		n, err := res.RowsAffected()
		if all += n; err != nil || n < expireStep {
			return all, err
		}
	}
}

// Unopened is a stored result that could not be opened and still has its body.
type Unopened struct {
	ID           int64
	Kiosk, Epoch string
	Entry        wire.Entry
}

// Unopened lists such results with an id above after, oldest first.
func (s *Store) Unopened(ctx context.Context, after int64, limit int) ([]Unopened, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, kiosk, epoch, number, hash, body, coalesce(
		(SELECT chain FROM results p WHERE p.kiosk = r.kiosk AND p.epoch = r.epoch AND p.number = r.number - 1),
		(SELECT chain FROM losses l WHERE l.kiosk = r.kiosk AND l.epoch = r.epoch AND l.last = r.number - 1), zeroblob(32)) FROM results r
		WHERE unreadable = 1 AND id > ? AND length(body) > 0 ORDER BY id LIMIT ?`, after, limit)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(rows *sql.Rows) (Unopened, error) {
		var u Unopened
		err := rows.Scan(&u.ID, &u.Kiosk, &u.Epoch, &u.Entry.Number, &u.Entry.Hash, &u.Entry.Body, &u.Entry.Prev)
		return u, err
	})
}

// Opened notes what results say that could be opened after all, by their ids.
// Nothing else of them changes: hash, chain and body are as they came.
func (s *Store) Opened(ctx context.Context, found map[int64]Facts) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		for id, f := range found {
			if _, err := tx.ExecContext(ctx, `UPDATE results SET kind = ?, tx = ?, outcome = ?, reason = ?, record = ?, unreadable = 0, delete_at = ?
				WHERE id = ? AND unreadable = 1 AND length(body) > 0`,
				null(f.Kind), null(f.Tx), null(f.Outcome), sql.NullInt64{Int64: int64(f.Reason), Valid: f.Reason != 0}, f.Record,
				sql.NullInt64{Int64: ms(f.DeleteAt), Valid: !f.DeleteAt.IsZero()}, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// Unreadable counts the results of one kiosk that could not be opened.
func (s *Store) Unreadable(ctx context.Context, kiosk string) (n int, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM results WHERE kiosk = ? AND unreadable = 1", kiosk).Scan(&n)
	return n, err
}
