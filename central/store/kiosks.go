package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Kiosk is one enrolled kiosk.
type Kiosk struct {
	Name       string
	Request    []byte // as it came, for renewals
	SigningKey []byte // Ed25519
	Broker     []string
	ListKeys   [][]byte
	Added      time.Time
	Revoked    time.Time // zero: not revoked
	RevokedWhy string
	NotAfter   time.Time // of its newest certificate that is not revoked
}

// Certificate is one certificate that central issued.
type Certificate struct {
	Serial   string // hex
	Kiosk    string
	Issued   time.Time
	NotAfter time.Time
}

// ErrUnknownKiosk means that no kiosk of that name is enrolled.
var ErrUnknownKiosk = errors.New("no such kiosk is enrolled")

// ErrExists means that a kiosk of that name is enrolled already.
var ErrExists = errors.New("a kiosk of that name is enrolled already")

// AddKiosk enrols a kiosk with its first certificate. With replace, a kiosk
// of that name is enrolled anew with other keys: its earlier certificates are
// revoked and its results stay.
func (s *Store) AddKiosk(ctx context.Context, k Kiosk, c Certificate, replace bool) error {
	broker, keys, err := encodeOptions(k)
	if err != nil {
		return err
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM kiosks WHERE name = ?", k.Name).Scan(&n); err != nil {
			return err
		}
		if n > 0 && !replace {
			return ErrExists
		}
		if _, err := tx.ExecContext(ctx, "UPDATE certificates SET revoked_at = ? WHERE kiosk = ? AND revoked_at IS NULL",
			ms(c.Issued), k.Name); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO kiosks(name, request, signing_key, broker, list_keys, added_at)
			VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT(name) DO UPDATE SET request = excluded.request,
			signing_key = excluded.signing_key, broker = excluded.broker, list_keys = excluded.list_keys,
			revoked_at = NULL, revoked_why = NULL`,
			k.Name, k.Request, k.SigningKey, broker, keys, ms(k.Added)); err != nil {
			return err
		}
		if err := endKeys(ctx, tx, k.Name, k.Added); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO signing_keys(kiosk, key, from_at) VALUES(?, ?, ?)
			ON CONFLICT(kiosk, key) DO UPDATE SET until_at = NULL`, k.Name, k.SigningKey, ms(k.Added)); err != nil {
			return err
		}
		return addCertificate(ctx, tx, c)
	})
}

// endKeys notes that the signing key of a kiosk counts no longer.
func endKeys(ctx context.Context, tx *sql.Tx, kiosk string, at time.Time) error {
	_, err := tx.ExecContext(ctx, "UPDATE signing_keys SET until_at = ? WHERE kiosk = ? AND until_at IS NULL", ms(at), kiosk)
	return err
}

// EnrolledKey is a signing key that a kiosk has or had.
type EnrolledKey struct {
	Key         []byte // Ed25519
	From, Until time.Time
}

// keySlack is by how much the moment when results came may miss the moment when
// their key was exchanged.
const keySlack = time.Minute

// Counted says whether the key was the kiosk's at a time.
func (k *EnrolledKey) Counted(at time.Time) bool {
	return !at.Before(k.From.Add(-keySlack)) && (k.Until.IsZero() || !at.After(k.Until.Add(keySlack)))
}

// SigningKeys lists the keys that a kiosk ever had, the oldest first. Until is
// zero for the one that counts now.
func (s *Store) SigningKeys(ctx context.Context, name string) ([]EnrolledKey, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT key, from_at, until_at FROM signing_keys WHERE kiosk = ? ORDER BY from_at", name)
	if err != nil {
		return nil, err
	}
	all, err := collect(rows, func(rows *sql.Rows) (EnrolledKey, error) {
		var k EnrolledKey
		var from int64
		var until sql.NullInt64
		err := rows.Scan(&k.Key, &from, &until)
		k.From, k.Until = fromMS(from), fromNullMS(until)
		return k, err
	})
	if err == nil && len(all) == 0 {
		return nil, ErrUnknownKiosk
	}
	return all, err
}

// RenewKiosk records a further certificate and the options it came with. The
// earlier certificates stay valid until they end, so that the kiosk can
// change over when it suits.
func (s *Store) RenewKiosk(ctx context.Context, k Kiosk, c Certificate) error {
	broker, keys, err := encodeOptions(k)
	if err != nil {
		return err
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, "UPDATE kiosks SET broker = ?, list_keys = ? WHERE name = ? AND revoked_at IS NULL", broker, keys, k.Name)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return errors.Join(ErrUnknownKiosk, err)
		}
		return addCertificate(ctx, tx, c)
	})
}

func encodeOptions(k Kiosk) (broker, keys string, err error) {
	b, err := json.Marshal(k.Broker)
	if err != nil {
		return "", "", fmt.Errorf("kiosk %s: %w", k.Name, err)
	}
	l, err := json.Marshal(k.ListKeys)
	if err != nil {
		return "", "", fmt.Errorf("kiosk %s: %w", k.Name, err)
	}
	return string(b), string(l), nil
}

func addCertificate(ctx context.Context, tx *sql.Tx, c Certificate) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO certificates(serial, kiosk, issued_at, not_after) VALUES(?, ?, ?, ?)",
		c.Serial, c.Kiosk, ms(c.Issued), ms(c.NotAfter))
	return err
}

// RevokeKiosk revokes a kiosk and all its certificates. Its results stay.
func (s *Store) RevokeKiosk(ctx context.Context, name, why string, at time.Time) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE kiosks SET revoked_at = coalesce(revoked_at, ?),
			revoked_why = coalesce(revoked_why, ?) WHERE name = ?`, ms(at), why, name)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return errors.Join(ErrUnknownKiosk, err)
		}
		if _, err = tx.ExecContext(ctx, "UPDATE certificates SET revoked_at = ? WHERE kiosk = ? AND revoked_at IS NULL", ms(at), name); err != nil {
			return err
		}
		return endKeys(ctx, tx, name, at)
	})
}

const kioskColumns = `SELECT name, request, signing_key, broker, list_keys, added_at, revoked_at, coalesce(revoked_why, ''),
	(SELECT max(not_after) FROM certificates c WHERE c.kiosk = name AND c.revoked_at IS NULL) FROM kiosks`

func scanKiosk(row interface{ Scan(...any) error }) (Kiosk, error) {
	var k Kiosk
	var broker, keys string
	var added int64
	var revoked, notAfter sql.NullInt64
	if err := row.Scan(&k.Name, &k.Request, &k.SigningKey, &broker, &keys, &added, &revoked, &k.RevokedWhy, &notAfter); err != nil {
		return k, err
	}
	k.Added, k.Revoked, k.NotAfter = fromMS(added), fromNullMS(revoked), fromNullMS(notAfter)
	return k, errors.Join(json.Unmarshal([]byte(broker), &k.Broker), json.Unmarshal([]byte(keys), &k.ListKeys))
}

// Kiosk finds one kiosk.
func (s *Store) Kiosk(ctx context.Context, name string) (Kiosk, error) {
	k, err := scanKiosk(s.read.QueryRowContext(ctx, kioskColumns+" WHERE name = ?", name))
	if errors.Is(err, sql.ErrNoRows) {
		return Kiosk{}, ErrUnknownKiosk
	}
	return k, err
}

// Kiosks lists all, by name.
func (s *Store) Kiosks(ctx context.Context) ([]Kiosk, error) {
	rows, err := s.read.QueryContext(ctx, kioskColumns+" ORDER BY name")
	if err != nil {
		return nil, err
	}
	return collect(rows, func(rows *sql.Rows) (Kiosk, error) { return scanKiosk(rows) })
}

// SigningKey gives the key of a kiosk that is enrolled and not revoked, and
// whether it was revoked.
func (s *Store) SigningKey(ctx context.Context, name string) (key []byte, revoked bool, err error) {
	var at sql.NullInt64
	err = s.read.QueryRowContext(ctx, "SELECT signing_key, revoked_at FROM kiosks WHERE name = ?", name).Scan(&key, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, ErrUnknownKiosk
	}
	return key, at.Valid, err
}

// CertificateValid says whether central issued that certificate to that
// kiosk and has not revoked it.
func (s *Store) CertificateValid(ctx context.Context, serial, kiosk string) (bool, error) {
	var n int
	err := s.read.QueryRowContext(ctx, `SELECT count(*) FROM certificates c JOIN kiosks k ON k.name = c.kiosk
		WHERE c.serial = ? AND c.kiosk = ? AND c.revoked_at IS NULL AND k.revoked_at IS NULL`, serial, kiosk).Scan(&n)
	return n == 1, err
}

// RevokedSerials lists the revoked certificates, in hex.
func (s *Store) RevokedSerials(ctx context.Context) ([]string, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT serial FROM certificates WHERE revoked_at IS NOT NULL")
	if err != nil {
		return nil, err
	}
	return collect(rows, func(rows *sql.Rows) (s string, err error) { err = rows.Scan(&s); return s, err })
}

// collect reads all rows and closes them.
func collect[T any](rows *sql.Rows, scan func(*sql.Rows) (T, error)) ([]T, error) {
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}
