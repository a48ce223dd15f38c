package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"gateagent/internal/durable"
	"gateagent/match/allowlist"
	"gateagent/match/face/eval"
	"gateagent/match/face/pack"
)

const faceCalibrateHelp = `Measure a model pack on the operator's own pictures and write the signed record
that lets it admit: calibration.json, into the folder of the pack.

Take the pictures with the gate's own cameras, in its light, of people like
those who will pass, with their consent. Published face sets are likely to be
in every training set and say too little.

The key is an Ed25519 key as gatectl list keygen makes them; keep one for this
alone and give the kiosks its public half (face.calibration_keys). A false
match rate that the number of people does not support is refused: 0.1 % takes
78 people, 0.01 % takes 246.

` + faceSetHelp

type calibrateFlags struct {
	faceFlags
	key, source, out, page string
	cameras                []string
	fmr                    float64
	days, attempts         int
}

func faceCalibrateCommand() *cobra.Command {
	var f calibrateFlags
	cmd := &cobra.Command{
		Use:   "calibrate DIR --pack DIR --key signing.key --camera NAME...",
		Short: "Measure a model pack and sign what was measured",
		Long:  faceCalibrateHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args[0])
		},
	}
	f.add(cmd)
	f.addLabels(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.key, "key", "", "signing key for calibrations")
	fl.StringArrayVar(&f.cameras, "camera", nil, "camera that took the pictures: model and place; may be repeated")
	fl.StringVar(&f.source, "source", "", "where and when the pictures were taken")
	fl.Float64Var(&f.fmr, "fmr", 0.001, "false match rate to operate at: 0.01, 0.001 or 0.0001")
	fl.IntVar(&f.days, "days", 365, "how many days the record is in force")
	fl.IntVar(&f.attempts, "attempts", 3, "live pictures of a transaction")
	fl.StringVar(&f.out, "out", "", "file of the record (default calibration.json in the pack)")
	fl.StringVar(&f.page, "page", "", "HTML file for the measurements")
	return cmd
}

func (f *calibrateFlags) run(cmd *cobra.Command, dir string) error {
	switch {
	case f.pack == "":
		return errors.New("--pack is needed: a calibration is for one pack")
	case f.key == "" || len(f.cameras) == 0:
		return errors.New("--key and at least one --camera are needed; see gatectl face calibrate --help")
	case f.days < 1 || f.days > 3*366:
		return fmt.Errorf("--days %d: a calibration is in force for 1 to 1098 days", f.days)
	}
	key, err := allowlist.ReadSigningKey(f.key)
	if err != nil {
		return err
	}
	r, err := f.measure(cmd, dir, f.attempts)
	if err != nil {
		return err
	}
	if f.page != "" {
		if err := writePage(f.page, r); err != nil {
			return err
		}
	}
	if err := printReport(cmd.OutOrStdout(), r, f.page); err != nil {
		return err
	}
	c, err := r.Calibration(eval.Conditions{FMR: f.fmr, Cameras: f.cameras, Source: f.source, Valid: time.Duration(f.days) * 24 * time.Hour})
	if err != nil {
		return err
	}
	raw, err := c.Sign(key)
	if err != nil {
		return err
	}
	out := f.out
	if out == "" {
		out = filepath.Join(f.pack, pack.CalibrationFile)
	}
	if err := durable.WriteFile(out, raw, 0o644); err != nil {
		return err
	}
	return saySigned(cmd.OutOrStdout(), c, out)
}

func saySigned(w io.Writer, c *pack.Calibration, out string) error {
	op, _ := c.Operating()
	_, err := fmt.Fprintf(w, "%s: threshold %.4f for FMR %s, in force until %s\n", out, op.Threshold, eval.Percent(op.FMR), c.Expires.Format(time.DateOnly))
	return err
}
