package main

import "github.com/spf13/cobra"

func newPlan(k *kubeFlags) *cobra.Command   { return &cobra.Command{Use: "plan"} }
func newStatus(k *kubeFlags) *cobra.Command { return &cobra.Command{Use: "status"} }
func newPause(k *kubeFlags) *cobra.Command  { return &cobra.Command{Use: "pause"} }
func newResume(k *kubeFlags) *cobra.Command { return &cobra.Command{Use: "resume"} }
func newRetry(k *kubeFlags) *cobra.Command  { return &cobra.Command{Use: "retry"} }
