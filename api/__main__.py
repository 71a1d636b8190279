from api.command import main

raise SystemExit(main())
