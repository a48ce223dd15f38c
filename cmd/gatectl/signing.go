package main

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"gateagent/central/keys"
	"gateagent/central/repo"
)

// repoTimeout is how long a command waits for another one that works on the
// repository.
const repoTimeout = 30 * time.Second

// maxPassphrase bounds what is read as a passphrase or PIN.
const maxPassphrase = 1 << 10

// passFlags say where passphrases and PINs come from: never from the command
// line, which others can read.
type passFlags struct {
	file string
	fd   int
}

func (p *passFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.file, "passphrase-file", "", "`file` with the passphrase or PIN of the keys; without it the terminal is asked")
	cmd.Flags().IntVar(&p.fd, "passphrase-fd", -1, "open file `descriptor` to read it from instead")
}

// ask gives the way to a passphrase. What comes from a file or descriptor
// serves for every key of the command.
func (p *passFlags) ask(cmd *cobra.Command) (keys.Ask, error) {
	var text []byte
	var err error
	switch {
	case p.file != "":
		if text, err = readPassphrase(p.file, os.Open); err != nil {
			return nil, err
		}
	case p.fd >= 0:
		if text, err = readPassphrase("", func(string) (*os.File, error) { return os.NewFile(uintptr(p.fd), "passphrase"), nil }); err != nil {
			return nil, err
		}
	default:
		return func(what string) ([]byte, error) { return askTerminal(cmd, what) }, nil
	}
	return func(string) ([]byte, error) { return bytes.Clone(text), nil }, nil
}

func readPassphrase(path string, open func(string) (*os.File, error)) ([]byte, error) {
	f, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPassphrase))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	return bytes.TrimRight(text, "\r\n"), nil
}

func askTerminal(cmd *cobra.Command, what string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, errors.New("there is no terminal to ask: use --passphrase-file or --passphrase-fd")
	}
	defer tty.Close()
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: ", what)
	text, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(cmd.ErrOrStderr())
	return text, err
}

// repoFlags are those of every command on a repository.
type repoFlags struct {
	dir  string
	keys []string
	pass passFlags
	json bool
}

func (f *repoFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dir, "repo", "/var/lib/gatecentral/repo", "`folder` of the repository")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
}

// registerKeys adds the flags of commands that sign.
func (f *repoFlags) registerKeys(cmd *cobra.Command) {
	f.register(cmd)
	cmd.Flags().StringArrayVar(&f.keys, "key", nil, "`key` to sign with, a file or a PKCS#11 URI; repeatable; more can follow with gatectl repo sign")
	f.pass.register(cmd)
}

// do opens the repository for one command.
func (f *repoFlags) do(cmd *cobra.Command, work func(*repo.Repo) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), repoTimeout)
	defer cancel()
	r, err := repo.Open(ctx, f.dir)
	if err != nil {
		return err
	}
	return errors.Join(work(r), r.Close())
}

// looking makes a command that opens the repository and signs nothing.
func looking(cmd *cobra.Command, work func(cmd *cobra.Command, r *repo.Repo, args []string) error) *cobra.Command {
	var f repoFlags
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return f.do(cmd, func(r *repo.Repo) error { return work(cmd, r, args) })
	}
	f.register(cmd)
	return cmd
}

// changing makes a command that changes the repository and signs.
func changing(cmd *cobra.Command, work func(cmd *cobra.Command, r *repo.Repo, args []string) error) *cobra.Command {
	var f repoFlags
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return f.change(cmd, func(r *repo.Repo) error { return work(cmd, r, args) })
	}
	f.registerKeys(cmd)
	return cmd
}

// change makes a change, signs with the keys at hand and puts in force what
// has its signatures, if the online keys are among them.
func (f *repoFlags) change(cmd *cobra.Command, work func(*repo.Repo) error) error {
	// Keys first: a wrong passphrase must not leave half a change behind.
	signers, done, err := f.open(cmd)
	if err != nil {
		return err
	}
	return errors.Join(f.do(cmd, func(r *repo.Repo) error {
		if err := work(r); err != nil {
			return err
		}
		return f.settle(cmd, r, signers)
	}), done())
}

// open makes the keys ready.
func (f *repoFlags) open(cmd *cobra.Command) (all []crypto.Signer, done func() error, err error) {
	var opened []*keys.Key
	done = func() error {
		var errs []error
		for _, k := range opened {
			errs = append(errs, k.Close())
		}
		return errors.Join(errs...)
	}
	ask, err := f.pass.ask(cmd)
	if err != nil {
		return nil, done, err
	}
	for _, ref := range f.keys {
		k, err := keys.Open(ref, ask)
		if err != nil {
			return nil, done, errors.Join(err, done())
		}
		opened, all = append(opened, k), append(all, k.Signer)
	}
	return all, done, nil
}

// settled is what a command that signs has done.
type settled struct {
	Signed  []repo.Signature  `json:"signed"`
	InForce map[string]int64  `json:"in_force"`
	Waiting map[string]string `json:"waiting"`
}

func (f *repoFlags) settle(cmd *cobra.Command, r *repo.Repo, signers []crypto.Signer) error {
	var s settled
	var err error
	if s.Signed, err = r.Sign(signers...); err != nil {
		return err
	}
	if r.CanCommit(signers...) {
		res, err := r.Commit(time.Now(), signers...)
		if err != nil {
			return err
		}
		s.InForce, s.Waiting = res.Roles, res.Waiting
	} else {
		s.Waiting = r.Waiting(time.Now())
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), s)
	}
	s.print(cmd.OutOrStdout())
	return nil
}

func (s *settled) print(w io.Writer) {
	for _, sig := range s.Signed {
		fmt.Fprintf(w, "signed     %s version %d with key %.12s\n", sig.Role, sig.Version, sig.KeyID)
	}
	for _, role := range slices.Sorted(maps.Keys(s.InForce)) {
		fmt.Fprintf(w, "in force   %s version %d\n", role, s.InForce[role])
	}
	for _, role := range slices.Sorted(maps.Keys(s.Waiting)) {
		fmt.Fprintf(w, "waiting    %s: %s\n", role, s.Waiting[role])
	}
}

// publicKeys reads what --role and its like name.
func publicKeys(refs []string, ask keys.Ask) ([]crypto.PublicKey, error) {
	var all []crypto.PublicKey
	for _, ref := range refs {
		k, err := keys.Public(strings.TrimSpace(ref), ask)
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	return all, nil
}
