package main

import (
	"os"

	"github.com/spf13/cobra"

	"gateagent/match/face/worker"
)

// faceWorkerCommand is what the agent starts itself with to keep the face
// engine in a process of its own.
func faceWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "face-worker",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			return worker.Main(args, os.Stdin, os.Stdout)
		},
	}
}
