"""A stand-in for the RBG controller, for machines that cannot have the genuine one.

It was written from recordings of the genuine controller (v0.8.0-alpha.5, v0.7.0, v0.3.0) and
is checked against them in ``tests/functional/standin``; nothing of RBG's code is in it. A test
that passes on it shows that the charm does the right thing *if* RBG behaves as recorded.

Imitated, on any Kubernetes API (kwok or a kubelet runs the pods):

* the children of every role, their names, owners, labels, environment and templates:
  RoleInstanceSet, RoleInstance, pods of the three patterns, StatefulSet, Deployment,
  LeaderWorkerSet, headless Service, discovery ConfigMap, ControllerRevisions;
* the group's status, condition and events; dependencies (a role that is not ready holds its
  dependants back, a cycle or an unknown name freezes the group); clean-up of removed roles;
* rollouts of RoleInstanceSets (highest ordinal first, maxUnavailable, partition, paused, image
  in place, else re-created), their status and the instances' conditions;
* the traps A1, A2, A4, 7 and 8 of the recordings, each of which can be switched off. A2, which
  the genuine controller shows in most runs, is shown in every run;
* the labels, environment and status of 0.6 and 0.3 (v1alpha1 only), with less detail.

Not imitated:

* restart policies: a crashed pod is left to the kubelet, RestartInProgress never appears;
* readiness gates: pods have none (the genuine InPlaceUpdateReady and InstancePodReady), so the
  healthy siblings of a crashed pod stay Ready, and an image swapped in place counts as not
  ready for as long as the kubelet (or a kwok stage) needs to report another image ID, 2 s at
  most; the pod itself may stay Ready during that time;
* gang scheduling, exclusive topology, coordination policies, scaling adapters, group sets,
  engine runtimes, warm-up, port allocation, maxSurge, minReadySeconds, conversion, admission;
* the repair of a Service or ConfigMap that somebody deleted, before the group's spec changes;
* retries with back-off: a group that waits is looked at when something changes, so the counts
  of its events are lower; the hashes in revision names are not RBG's.
"""

from rig.standin.controller import ALL_TRAPS, StandIn

__all__ = ["ALL_TRAPS", "StandIn"]
