package store

import (
	"context"
	"time"
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

// Unreadable counts the results of one kiosk that could not be opened.
func (s *Store) Unreadable(ctx context.Context, kiosk string) (n int, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM results WHERE kiosk = ? AND unreadable = 1", kiosk).Scan(&n)
	return n, err
}
