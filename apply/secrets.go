package apply

import corev1 "k8s.io/api/core/v1"

// secretsOfVolume are the Secrets without which the kubelet cannot mount a
// volume, projected ones left aside. Most are a driver's credentials, which the
// pod itself never sees; on the next mount they are needed all the same.
func secretsOfVolume(v *corev1.VolumeSource) []string {
	var out []string
	if v.Secret != nil {
		out = append(out, v.Secret.SecretName)
	}
	if v.AzureFile != nil {
		out = append(out, v.AzureFile.SecretName)
	}
	for _, ref := range secretRefs(v) {
		if ref != nil {
			out = append(out, ref.Name)
		}
	}
	return out
}

// secretRefs are the volume sources' references to credentials; nil where a
// source has none.
func secretRefs(v *corev1.VolumeSource) []*corev1.LocalObjectReference {
	var out []*corev1.LocalObjectReference
	if v.CSI != nil {
		out = append(out, v.CSI.NodePublishSecretRef)
	}
	if v.CephFS != nil {
		out = append(out, v.CephFS.SecretRef)
	}
	if v.Cinder != nil {
		out = append(out, v.Cinder.SecretRef)
	}
	if v.FlexVolume != nil {
		out = append(out, v.FlexVolume.SecretRef)
	}
	if v.ISCSI != nil {
		out = append(out, v.ISCSI.SecretRef)
	}
	if v.RBD != nil {
		out = append(out, v.RBD.SecretRef)
	}
	if v.ScaleIO != nil {
		out = append(out, v.ScaleIO.SecretRef)
	}
	if v.StorageOS != nil {
		out = append(out, v.StorageOS.SecretRef)
	}
	return out
}
