#!/bin/bash
# Imitates PrimeHub's wrapper of the same name, as far as it concerns artifacts and monitoring. Usage: run-job.sh COMMAND
agent=${MONITORING_AGENT:-/monitoring-utils/primehub-monitoring-agent}
target=${ARTIFACTS_DEST:-/phfs/jobArtifacts/$PHJOB_NAME}

copy_artifacts() {
  local source=${ARTIFACTS_SRC:-artifacts} files size
  if [[ ! -e $source ]]; then
    echo "Artifacts: no artifact found"
    return
  fi
  [[ ! -L $source ]] || source=$(readlink -f "$source")
  if [[ ! -d $source ]]; then
    echo "Artifacts: $source is not a directory"
    return
  fi
  files=$(find "$source" -type f | wc -l)
  size=$(du -m -d 0 "$source" | cut -f 1)
  if (( files == 0 || files > ${PHJOB_ARTIFACT_LIMIT_FILES:-1000} || size > ${PHJOB_ARTIFACT_LIMIT_SIZE_MB:-100} )); then
    echo "Artifacts: no artifact found, or a limit is exceeded"
    return
  fi
  mkdir -p "$target/.metadata"
  cp -R "$source"/* "$target" || return 1
  echo "$(($(date +%s) + ${PHJOB_ARTIFACT_RETENTION_SECONDS:-604800}))" >> "$target/.metadata/expiredAt"
  echo "Artifacts: ($files files / $size MB) uploaded"
}

if [[ $PHJOB_ARTIFACT_ENABLED == true && -x $agent ]]; then
  mkdir -p "$target/.metadata"
  "$agent"
fi
bash -c "$1"
code=$?
if [[ $PHJOB_ARTIFACT_ENABLED == true ]]; then
  copy_artifacts
  if [[ -f .monitoring-agent.pid ]]; then
    kill -1 "$(cat .monitoring-agent.pid)"
    kill -9 "$(cat .monitoring-agent.pid)"
  fi
fi
exit $code
